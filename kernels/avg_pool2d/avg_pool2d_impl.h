// The reference behind avg_pool2d.h; arguments are checked already.
#pragma once

#include "kernels/avg_pool2d/avg_pool2d.h"
#include "kernels/gpu/declare.h"

namespace atrous::kernels {

using AvgPool2dFn = void(const AvgPool2dProblem&, const Tensor& from, const Tensor& to);
AvgPool2dFn avg_pool2d_forward_ref, avg_pool2d_backward_ref;
ATROUS_DECLARE_ON_GPU(AvgPool2dFn avg_pool2d_forward_naive, avg_pool2d_forward_vectorised,
                      avg_pool2d_forward_shared;
                      AvgPool2dFn avg_pool2d_backward_naive, avg_pool2d_backward_vectorised;)

}  // namespace atrous::kernels
