// The implementations behind local_response_norm.h; arguments are checked already.
#pragma once

#include "kernels/gpu/declare.h"
#include "kernels/local_response_norm/local_response_norm.h"

namespace atrous::kernels {

using LocalResponseNormForwardFn = void(const LocalResponseNormProblem&, const Tensor& x, const Tensor& y);
using LocalResponseNormBackwardFn = void(const LocalResponseNormProblem&, const Tensor& dy, const Tensor& x,
                                         const Tensor& dx);
LocalResponseNormForwardFn local_response_norm_forward_ref, local_response_norm_forward_vector;
LocalResponseNormBackwardFn local_response_norm_backward_ref, local_response_norm_backward_vector;
ATROUS_DECLARE_ON_GPU(LocalResponseNormForwardFn local_response_norm_forward_naive,
                      local_response_norm_forward_shared;
                      LocalResponseNormBackwardFn local_response_norm_backward_naive,
                      local_response_norm_backward_shared;)

}  // namespace atrous::kernels
