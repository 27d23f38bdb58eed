// The implementations of group norm; private to this folder.
#pragma once

#include "kernels/gpu/declare.h"
#include "kernels/group_norm/group_norm.h"

namespace atrous::kernels {

using GroupNormForwardFn = void(const GroupNormProblem&, const Tensor& x, const Tensor& gamma,
                                const Tensor& beta, const Tensor& y, const Tensor& mean,
                                const Tensor& invstd);
using GroupNormBackwardFn = void(const GroupNormProblem&, const Tensor& x, const Tensor& y, const Tensor& dy,
                                 const Tensor& mean, const Tensor& invstd, const Tensor& gamma,
                                 const Tensor& dx, const Tensor& dgamma, const Tensor& dbeta);

GroupNormForwardFn group_norm_forward_ref, group_norm_forward_cpu;
GroupNormBackwardFn group_norm_backward_ref, group_norm_backward_cpu;
ATROUS_DECLARE_ON_GPU(GroupNormForwardFn group_norm_forward_naive, group_norm_forward_channels;
                      GroupNormBackwardFn group_norm_backward_naive, group_norm_backward_channels;)

}  // namespace atrous::kernels
