// The implementations of match_boxes; private to this folder.
#pragma once

#include <bit>

#include "kernels/common/box_math.h"
#include "kernels/gpu/declare.h"
#include "kernels/match_boxes/match_boxes.h"

namespace atrous::kernels {

// All tensors dense; at least one truth and one box.
using MatchFn = void(const MatchProblem&, const Tensor& truths, const Tensor& boxes, const Tensor& matches);
MatchFn match_boxes_ref, match_boxes_runs;
ATROUS_DECLARE_ON_GPU(MatchFn match_boxes_naive, match_boxes_staged;)

// Overlaps are compared as the bits of their f32: these are ordered like the numbers, since none is negative,
// and integers have an atomic maximum on GPUs and a vectorised one on CPUs.
ATROUS_HD inline int32_t overlap_bits(float iou) {
  return std::bit_cast<int32_t>(iou);
}

struct MatchThresholds {
  int32_t high, low;
  explicit MatchThresholds(const MatchOptions& o)
      : high(overlap_bits(static_cast<float>(o.high))), low(overlap_bits(static_cast<float>(o.low))) {}
  // The verdict on a box whose best overlap is `best`, with truth `index`.
  ATROUS_HD int32_t match(int32_t best, int32_t index, bool low_quality) const {
    if (low_quality || best >= high) return index;
    return best >= low ? match_between : match_below_low;
  }
};

}  // namespace atrous::kernels
