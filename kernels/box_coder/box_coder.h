// Not differentiable: no layer. (Losses are on the deltas; proposals are detached.)
//
// Boxes as the shifts and scalings that turn one box into another, as in R-CNN (Girshick et al., 2014):
//
//   encode: d = (wx (gx - px) / pw, wy (gy - py) / ph, ww log(gw / pw), wh log(gh / ph))
//   decode: x = d.x / wx pw + px, w = exp(min(d.w / ww, clamp)) pw, ...
//
// with centres x, y and sizes w, h of a proposal p and a reference box g. Boxes are f32 x1, y1, x2, y2 in
// pixels, width x2 - x1. Arithmetic is f32 in torchvision's order (models/detection/_utils.py), so that only
// exp and log may differ in the last bit.
#pragma once

#include <string>

#include "core/tensor.h"

namespace atrous::kernels {

struct BoxCoderOptions {
  double wx = 1, wy = 1, ww = 1, wh = 1;  // torchvision's RoI heads: 10, 10, 5, 5
  double clamp = 4.135166556742356;       // log(1000 / 16): no box grows more than 62.5 times
};

struct BoxCoderProblem {
  int64_t boxes = 0;
  int64_t classes = 1;  // boxes per row of deltas
  BoxCoderOptions options{};
  std::string str() const;  // "n1000 k91 weights 10 10 5 5"
};

// f32 [n, 4]: deltas that turn proposals into references, both f32 [n, 4]. An empty box gives the result of
// the formula: infinities or NaN.
Tensor encode_boxes(const Tensor& references, const Tensor& proposals, const BoxCoderOptions& options = {});

// f32 [n, 4 k]: deltas [n, 4 k] applied to boxes [n, 4], k of them (one per class) to each.
Tensor decode_boxes(const Tensor& deltas, const Tensor& boxes, const BoxCoderOptions& options = {});

// Boxes f32 [..., 4 k] with x limited to [0, width] and y to [0, height]. NaN stays NaN.
Tensor clip_boxes(const Tensor& boxes, double height, double width);

struct UsableOptions {
  double min_size = 0;   // of width and height, in pixels; equal is usable
  double min_score = 0;  // used if scores are given
  bool strict = false;   // the score must be above min_score (torchvision's RoI heads), not equal (its RPN)
};
// u8 [n]: 1 for boxes f32 [n, 4] that are large enough and have scores f32 [n] (undefined: not checked) high
// enough; 0 for the others and wherever a number is NaN. For nms(), which leaves the others out: so their
// number need not be known.
Tensor usable_boxes(const Tensor& boxes, const Tensor& scores, const UsableOptions& options);

}  // namespace atrous::kernels
