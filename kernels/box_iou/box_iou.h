// Not differentiable: no layer.
//
// Overlap of every box of one list with every box of another:
//
//   iou[i, j] = |a_i and b_j| / |a_i or b_j|
//
// Boxes are f32 [n, 4]: x1, y1, x2, y2 in pixels, width x2 - x1. Boxes that are empty, inverted or not finite
// overlap nothing: 0, never NaN (torchvision.ops.box_iou gives NaN for two empty boxes). Else equal to
// torchvision's, bit-identical (kernels/common/box_math.h).
#pragma once

#include <string>

#include "core/tensor.h"

namespace atrous::kernels {

struct BoxIouProblem {
  int64_t a = 0, b = 0;     // numbers of boxes
  std::string str() const;  // "1000x20"
};

// f32 [A, B] of boxes a [A, 4] and b [B, 4], on their device; A and B may be 0. Error(usage): shapes, types.
Tensor box_iou(const Tensor& a, const Tensor& b);

// `t` as dense f32 boxes [n, 4], or Error(usage). For the ops on boxes.
Tensor checked_boxes(const char* op, const char* name, const Tensor& t);

}  // namespace atrous::kernels
