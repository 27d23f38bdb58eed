// The implementations behind depthwise_conv2d.h. Everything has been checked; outputs are allocated.
#pragma once

#include "kernels/depthwise_conv2d/depthwise_conv2d.h"
#include "kernels/gpu/declare.h"

namespace atrous::kernels {

using DepthwiseForwardFn = void(const Conv2dProblem&, const Tensor& x, const Tensor& w, const Tensor& bias,
                                const Tensor& y);
using DepthwiseBackwardInputFn = void(const Conv2dProblem&, const Tensor& dy, const Tensor& w,
                                      const Tensor& dx);
using DepthwiseBackwardWeightFn = void(const Conv2dProblem&, const Tensor& dy, const Tensor& x,
                                       const Tensor& dw);

DepthwiseForwardFn depthwise_forward_ref, depthwise_forward_vector;
DepthwiseBackwardInputFn depthwise_backward_input_ref, depthwise_backward_input_vector;
DepthwiseBackwardWeightFn depthwise_backward_weight_ref, depthwise_backward_weight_vector;

ATROUS_DECLARE_ON_GPU(DepthwiseForwardFn depthwise_forward_naive, depthwise_forward_vectorised,
                      depthwise_forward_window;
                      DepthwiseBackwardInputFn depthwise_backward_input_naive,
                      depthwise_backward_input_vectorised, depthwise_backward_input_window;
                      DepthwiseBackwardWeightFn depthwise_backward_weight_naive,
                      depthwise_backward_weight_vectorised, depthwise_backward_weight_window;)

}  // namespace atrous::kernels
