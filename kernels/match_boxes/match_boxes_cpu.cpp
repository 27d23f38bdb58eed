// Runs of boxes stay in the first cache while every truth passes over them, several boxes at once.
#include <algorithm>
#include <vector>

#include "core/cpu.h"
#include "core/parallel.h"
#include "kernels/common/box_overlaps.h"
#include "kernels/match_boxes/match_boxes_impl.h"

namespace atrous::kernels {
namespace {

constexpr int64_t run_length = BoxRun::most;

ATROUS_MULTIVERSION int32_t largest(const float* iou, int64_t n) {
  int32_t best = 0;
  for (int64_t i = 0; i < n; ++i) best = std::max(best, overlap_bits(iou[i]));
  return best;
}

// The state of a run: per box its best overlap, with which truth, and whether any truth has none better.
struct RunMatches {
  int32_t best[run_length], index[run_length], low_quality[run_length];
};

ATROUS_MULTIVERSION void take_truth(const float* iou, int64_t n, int32_t truth, int32_t best_of_truth,
                                    RunMatches& run) {
  for (int64_t i = 0; i < n; ++i) {
    const int32_t overlap = overlap_bits(iou[i]);
    const bool better = overlap > run.best[i];
    run.low_quality[i] |= overlap == best_of_truth;
    run.index[i] = better ? truth : run.index[i];
    run.best[i] = better ? overlap : run.best[i];
  }
}

// Per truth the best overlap with any box. A maximum does not depend on the order of chunks.
std::vector<int32_t> best_overlaps(const MatchProblem& p, const float* truths, const float* boxes) {
  const auto count = static_cast<size_t>(p.truths);
  const int64_t runs = (p.boxes + run_length - 1) / run_length;
  std::vector<int32_t> best_of_run(count * static_cast<size_t>(runs));
  parallel_for(p.boxes, run_length, [&](int64_t begin, int64_t end) {
    BoxRun run;
    run.load(boxes, begin, end - begin);
    float iou[run_length];
    int32_t* best = best_of_run.data() + static_cast<size_t>(begin / run_length) * count;
    for (int64_t g = 0; g < p.truths; ++g) {
      overlaps(box_at(truths, g), run, iou);
      best[g] = largest(iou, run.count);
    }
  });
  std::vector<int32_t> best(count, 0);
  for (size_t i = 0; i < best_of_run.size(); ++i) best[i % count] = std::max(best[i % count], best_of_run[i]);
  return best;
}

}  // namespace

void match_boxes_runs(const MatchProblem& p, const Tensor& truths, const Tensor& boxes,
                      const Tensor& matches) {
  const float* g_boxes = truths.data<float>();
  const float* a_boxes = boxes.data<float>();
  std::vector<int32_t> best(static_cast<size_t>(p.truths), -1);  // equal to no overlap
  if (p.options.allow_low_quality) best = best_overlaps(p, g_boxes, a_boxes);
  const MatchThresholds thresholds(p.options);
  parallel_for(p.boxes, run_length, [&](int64_t begin, int64_t end) {
    BoxRun run;
    run.load(a_boxes, begin, end - begin);
    float iou[run_length];
    RunMatches state{};
    std::fill_n(state.best, run_length, -1);
    for (int64_t g = 0; g < p.truths; ++g) {
      overlaps(box_at(g_boxes, g), run, iou);
      take_truth(iou, run.count, static_cast<int32_t>(g), best[static_cast<size_t>(g)], state);
    }
    for (int64_t i = 0; i < run.count; ++i) {
      matches.data<int32_t>()[begin + i] =
          thresholds.match(state.best[i], state.index[i], state.low_quality[i] != 0);
    }
  });
}

}  // namespace atrous::kernels
