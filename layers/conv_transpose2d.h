// Differentiable transposed convolution. Formula and layouts: kernels/conv_transpose2d/conv_transpose2d.h.
#pragma once

#include "core/autograd.h"
#include "kernels/conv_transpose2d/conv_transpose2d.h"

namespace atrous::layers {

using kernels::ConvTranspose2dOptions;

// x [N,H,W,K], w [K,R,S,C/groups], bias [C] or undefined; gives [N,H',W',C], written into `out` if given (for
// example a slice of a ConcatBuffer). Throws Error(usage) with all shapes if they do not fit.
Variable conv_transpose2d(const Variable& x, const Variable& w, const Variable& bias,
                          const ConvTranspose2dOptions& options = {}, const Tensor& out = {});

}  // namespace atrous::layers
