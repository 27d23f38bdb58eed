// Depthwise convolution: every channel has filters of its own (Howard et al., MobileNets, arXiv:1704.04861).
//
//   y[n,p,q,c*M + j] = bias[c*M + j]
//       + sum_{r,s} x[n, p*stride_h + r*dilation_h - pad_h, q*stride_w + s*dilation_w - pad_w, c] * w[c*M +
//       j, r, s]
//
// x is N,H,W,C; the filter w is C*M,R,S,1 with M >= 1 the channel multiplier; y is N,P,Q,C*M. This is conv2d
// with groups = C, and the problem is described as one; conv2d's kernels live on sums over channels, which
// are missing here. Positions outside x count as zero. f32, f64 and, on GPUs, bf16 (bias and gradient of w
// are f32 then); any pixel stride. Errors: Error(usage).
#pragma once

#include <string>

#include "kernels/conv2d/conv2d.h"

namespace atrous::kernels {

struct DepthwiseConv2dOptions {
  Pair stride{1, 1};
  Pair pad{0, 0};
  Pair dilation{1, 1};
};

// The problem as a convolution with groups = C. Throws Error(usage) if the parts do not fit.
Conv2dProblem depthwise_conv2d_problem(const char* where, const Shape& input, const Shape& filter,
                                       const DepthwiseConv2dOptions& options, DType dtype);

// y, written into `out` if given. `bias` [C*M] may be undefined.
Tensor depthwise_conv2d(const Tensor& x, const Tensor& w, const Tensor& bias,
                        const DepthwiseConv2dOptions& options, Tensor out = {});
// Gradient of x, of shape `input_shape`.
Tensor depthwise_conv2d_backward_input(const Tensor& dy, const Tensor& w,
                                       const DepthwiseConv2dOptions& options, const Shape& input_shape);
// Gradient of w, of shape `filter_shape`, contiguous. That of the bias is conv2d_backward_bias(dy).
Tensor depthwise_conv2d_backward_weight(const Tensor& dy, const Tensor& x,
                                        const DepthwiseConv2dOptions& options, const Shape& filter_shape);

}  // namespace atrous::kernels
