// Differentiable resize.
#pragma once

#include "core/autograd.h"
#include "kernels/resize/resize.h"

namespace atrous::layers {

using kernels::ResizeMode;
using kernels::ResizeOptions;

// x: [N,H,W,C] to [N,height,width,C]; formulas in kernels/resize/resize_math.h. `out`, if given, receives the
// result (a slice of a ConcatBuffer).
Variable resize(const Variable& x, const ResizeOptions& options, const Tensor& out = {});

}  // namespace atrous::layers
