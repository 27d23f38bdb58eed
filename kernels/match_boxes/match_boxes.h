// Not differentiable: no layer.
//
// Matches boxes (anchors, proposals) to the ground-truth boxes that are their training targets: torchvision's
// Matcher, and Detectron2's with the thresholds of Faster R-CNN.
//
//   m_a = max_g iou(g, a),   g_a = the first g that reaches it
//   match[a] = g_a              if m_a >= high, or
//                               if allow_low_quality and a reaches the best overlap of any g (ties all
//                               count): then a is matched to its own best g_a, which may be another one
//              between (-2)     else if m_a >= low: neither object nor background
//              below_low (-1)   else: background
//
// As in torchvision, a ground-truth box that overlaps no anchor at all has the best overlap 0, which every
// anchor with overlap 0 reaches. The [G, A] matrix of overlaps (322 MB for 300 objects and the 268,569
// anchors of an 800x1344 image) is never stored: overlaps are computed twice, the second time only if
// low-quality matches are allowed. Workspace: 4 (A + G) bytes and some.
#pragma once

#include <string>

#include "core/tensor.h"

namespace atrous::kernels {

inline constexpr int32_t match_below_low = -1;
inline constexpr int32_t match_between = -2;

struct MatchOptions {
  double high = 0.7;  // rounded to f32, as torch compares
  double low = 0.3;   // at most `high`
  bool allow_low_quality = true;
};

struct MatchProblem {
  int64_t truths = 0, boxes = 0;
  MatchOptions options;
  std::string str() const;  // "g20 a268569 high 0.7 low 0.3 low quality"
};

// i32 [A]: an index into truths [G, 4] (f32), or below_low or between, for each of boxes [A, 4] (f32), on
// their device. G = 0: all are below_low. Error(usage): shapes, types, thresholds outside 0 <= low <= high.
Tensor match_boxes(const Tensor& truths, const Tensor& boxes, const MatchOptions& options);

}  // namespace atrous::kernels
