// Differentiable batch normalisation with fused activation and residual add
// (kernels/batch_norm/batch_norm.h).
#pragma once

#include "core/autograd.h"
#include "kernels/common/activation.h"

namespace atrous::layers {

struct BatchNormOptions {
  // true: statistics of this batch, running statistics updated. false: running statistics, as constants.
  bool training = true;
  // running = (1 - momentum) * running + momentum * batch
  double momentum = 0.1;
  double eps = 1e-5;
  kernels::Activation activation = kernels::Activation::none;
  // Training only: [2, C] = (sum x, sum x^2) if the op that wrote x has them; saves the pass over x.
  Tensor sums = {};
};

// y = activation(gamma * (x - mean) / sqrt(var + eps) + beta + residual), x [..., C], gamma and beta [C].
// running_mean and running_var ([C], changed in place when training) may be undefined when training. `out`,
// if given, receives y: for example a slice of a ConcatBuffer. Training on one value per channel is
// Error(usage): its variance is meaningless.
Variable batch_norm(const Variable& x, const Variable& gamma, const Variable& beta,
                    const Tensor& running_mean, const Tensor& running_var,
                    const BatchNormOptions& options = {}, const Variable& residual = {},
                    const Tensor& out = {});

}  // namespace atrous::layers
