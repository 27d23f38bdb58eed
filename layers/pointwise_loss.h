// Differentiable losses that compare element by element (formulas:
// kernels/pointwise_loss/pointwise_loss.h).
#pragma once

#include "core/autograd.h"
#include "kernels/pointwise_loss/pointwise_loss.h"

namespace atrous::layers {

using kernels::LossReduction;

// Scalar losses of x against targets of its shape; gradients go to x only, and are computed by the forward
// pass if backward will need them. The mean of nothing is 0.
Variable binary_cross_entropy_with_logits(const Variable& x, const Tensor& targets,
                                          LossReduction reduction = LossReduction::mean);
// beta 0 is L1.
Variable smooth_l1(const Variable& x, const Tensor& targets, double beta,
                   LossReduction reduction = LossReduction::mean);

}  // namespace atrous::layers
