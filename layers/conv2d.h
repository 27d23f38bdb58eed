// Differentiable convolution. Formula, layouts and dilation convention: kernels/conv2d/conv2d.h.
#pragma once

#include "core/autograd.h"
#include "kernels/conv2d/conv2d.h"

namespace atrous::layers {

using kernels::Conv2dOptions;

// x [N,H,W,C], w [K,R,S,C/groups], bias [K] or undefined; gives [N,P,Q,K], written into `out` if given (for
// example a slice of a ConcatBuffer). Throws Error(usage) with all shapes if they do not fit.
Variable conv2d(const Variable& x, const Variable& w, const Variable& bias, const Conv2dOptions& options = {},
                Tensor out = {});

// Records the node alone, for a y that has been computed already (in one pass with other work).
Variable conv2d_on_tape(const Tensor& y, const Variable& x, const Variable& w, const Variable& bias,
                        const Conv2dOptions& options);

}  // namespace atrous::layers
