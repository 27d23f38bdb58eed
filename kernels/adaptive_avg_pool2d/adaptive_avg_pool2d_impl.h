// The reference behind adaptive_avg_pool2d.h; arguments are checked already.
#pragma once

#include "kernels/adaptive_avg_pool2d/adaptive_avg_pool2d.h"
#include "kernels/gpu/declare.h"

namespace atrous::kernels {

using AdaptiveAvgPool2dFn = void(const AdaptiveAvgPool2dProblem&, const Tensor& from, const Tensor& to);
AdaptiveAvgPool2dFn adaptive_avg_pool2d_forward_ref, adaptive_avg_pool2d_backward_ref;
ATROUS_DECLARE_ON_GPU(AdaptiveAvgPool2dFn adaptive_avg_pool2d_forward_naive,
                      adaptive_avg_pool2d_forward_vectorised, adaptive_avg_pool2d_forward_shared;
                      AdaptiveAvgPool2dFn adaptive_avg_pool2d_backward_naive,
                      adaptive_avg_pool2d_backward_vectorised;)

}  // namespace atrous::kernels
