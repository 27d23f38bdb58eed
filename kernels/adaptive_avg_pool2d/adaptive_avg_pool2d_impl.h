// The reference behind adaptive_avg_pool2d.h; arguments are checked already.
#pragma once

#include "kernels/adaptive_avg_pool2d/adaptive_avg_pool2d.h"

namespace atrous::kernels {

using AdaptiveAvgPool2dFn = void(const AdaptiveAvgPool2dProblem&, const Tensor& from, const Tensor& to);
AdaptiveAvgPool2dFn adaptive_avg_pool2d_forward_ref, adaptive_avg_pool2d_backward_ref;

}  // namespace atrous::kernels
