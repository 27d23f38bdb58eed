#include <algorithm>
#include <vector>

#include "kernels/match_boxes/match_boxes_impl.h"

namespace atrous::kernels {

void match_boxes_ref(const MatchProblem& p, const Tensor& truths, const Tensor& boxes,
                     const Tensor& matches) {
  const auto iou = [&](int64_t g, int64_t a) {
    return iou_of(box_at(truths.data<float>(), g), box_at(boxes.data<float>(), a));
  };
  std::vector<float> best_of_truth(static_cast<size_t>(p.truths), 0.0f);
  for (int64_t g = 0; g < p.truths; ++g) {
    for (int64_t a = 0; a < p.boxes; ++a) {
      float& best = best_of_truth[static_cast<size_t>(g)];
      best = std::max(best, iou(g, a));
    }
  }
  const auto high = static_cast<float>(p.options.high), low = static_cast<float>(p.options.low);
  for (int64_t a = 0; a < p.boxes; ++a) {
    float best = -1;
    int32_t index = 0;
    bool low_quality = false;
    for (int64_t g = 0; g < p.truths; ++g) {
      const float overlap = iou(g, a);
      low_quality |= overlap == best_of_truth[static_cast<size_t>(g)];
      if (overlap > best) {
        best = overlap;
        index = static_cast<int32_t>(g);
      }
    }
    const bool matched = best >= high || (p.options.allow_low_quality && low_quality);
    matches.data<int32_t>()[a] = matched ? index : best >= low ? match_between : match_below_low;
  }
}

}  // namespace atrous::kernels
