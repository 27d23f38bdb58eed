// The implementations of layer norm; private to this folder.
#pragma once

#include "kernels/gpu/declare.h"
#include "kernels/layer_norm/layer_norm.h"

namespace atrous::kernels {

using LayerNormForwardFn = void(const LayerNormProblem&, const Tensor& x, const Tensor& gamma,
                                const Tensor& beta, const Tensor& y, const Tensor& mean,
                                const Tensor& invstd);
using LayerNormBackwardFn = void(const LayerNormProblem&, const Tensor& x, const Tensor& dy,
                                 const Tensor& mean, const Tensor& invstd, const Tensor& gamma,
                                 const Tensor& dx, const Tensor& dgamma, const Tensor& dbeta);

LayerNormForwardFn layer_norm_forward_ref, layer_norm_forward_cpu;
LayerNormBackwardFn layer_norm_backward_ref, layer_norm_backward_cpu;

ATROUS_DECLARE_ON_GPU(LayerNormForwardFn layer_norm_forward_naive, layer_norm_forward_warp,
                      layer_norm_forward_registers;
                      LayerNormBackwardFn layer_norm_backward_naive, layer_norm_backward_warp,
                      layer_norm_backward_registers;)
// Channels that a warp holds in registers, 32 in each thread.
inline constexpr int layer_norm_most_in_registers = 1024;

}  // namespace atrous::kernels
