#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/common/box_math.h"
#include "kernels/nms/nms_impl.h"

namespace atrous::kernels {

void nms_ref(const NmsProblem& p, const NmsInput& in, const NmsResult& out) {
  const NmsMembers members(p, in);
  const float *boxes = in.boxes.data<float>(), *scores = in.scores.data<float>();
  std::vector<int32_t> order;
  for (int64_t i = 0; i < p.boxes; ++i) {
    if (members.has(i)) order.push_back(static_cast<int32_t>(i));
  }
  std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
    return std::isnan(scores[b]) ? !std::isnan(scores[a]) : scores[a] > scores[b];
  });
  std::vector<int32_t> kept;
  for (int32_t i : order) {
    const bool suppressed = std::any_of(kept.begin(), kept.end(), [&](int32_t k) {
      return members.group(k) == members.group(i) &&
             static_cast<double>(iou_of(box_at(boxes, k), box_at(boxes, i))) > p.options.iou_threshold;
    });
    if (!suppressed) kept.push_back(i);
  }
  kept.resize(std::min(kept.size(), static_cast<size_t>(p.capacity())));
  *out.count.data<int32_t>() = static_cast<int32_t>(kept.size());
  std::fill_n(out.indices.data<int32_t>(), p.capacity(), -1);
  std::copy(kept.begin(), kept.end(), out.indices.data<int32_t>());
}

}  // namespace atrous::kernels
