// Differentiable depthwise convolution. Formula and layouts: kernels/depthwise_conv2d/depthwise_conv2d.h.
#pragma once

#include "core/autograd.h"
#include "kernels/depthwise_conv2d/depthwise_conv2d.h"

namespace atrous::layers {

using kernels::DepthwiseConv2dOptions;

// x [N,H,W,C], w [C*M,R,S,1], bias [C*M] or undefined; gives [N,P,Q,C*M], written into `out` if given. Throws
// Error(usage) with all shapes if they do not fit.
Variable depthwise_conv2d(const Variable& x, const Variable& w, const Variable& bias,
                          const DepthwiseConv2dOptions& options = {}, const Tensor& out = {});

}  // namespace atrous::layers
