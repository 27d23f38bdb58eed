#include "kernels/match_boxes/match_boxes.h"

#include "kernels/box_iou/box_iou.h"
#include "kernels/common/entry.h"
#include "kernels/match_boxes/match_boxes_impl.h"

namespace atrous::kernels {
namespace {

constexpr Entry<MatchProblem, MatchFn> match{"match_boxes.match",
                                             {
                                                 ATROUS_ON_GPU("staged", always, match_boxes_staged),
                                                 ATROUS_ON_GPU("naive", always, match_boxes_naive),
                                                 {"runs", Device::cpu, always, match_boxes_runs},
                                                 {"ref", Device::cpu, always, match_boxes_ref},
                                             }};

}  // namespace

std::string MatchProblem::str() const {
  return fmt::format("g{} a{} high {} low {}{}", truths, boxes, options.high, options.low,
                     options.allow_low_quality ? " low quality" : "");
}

Tensor match_boxes(const Tensor& truths, const Tensor& boxes, const MatchOptions& options) {
  const Tensor g = checked_boxes("match_boxes", "the truths", truths);
  const Tensor a = checked_boxes("match_boxes", "the boxes", boxes);
  ATROUS_CHECK(options.low >= 0 && options.low <= options.high && options.high <= 1, ErrorKind::usage,
               "[match_boxes] thresholds must be 0 <= low <= high <= 1. Got low {} and high {}.", options.low,
               options.high);
  const MatchProblem problem{g.dim(0), a.dim(0), options};
  if (problem.truths == 0) return Tensor::full({problem.boxes}, match_below_low, DType::i32, a.device());
  const Tensor matches = Tensor::empty({problem.boxes}, DType::i32, a.device());
  if (problem.boxes > 0) match(problem, g, a, writes(matches));
  return matches;
}

EntryList match_boxes_entries() {
  return {&match};
}

}  // namespace atrous::kernels
