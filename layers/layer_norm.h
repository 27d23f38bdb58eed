// Differentiable layer normalisation over the last axis (kernels/layer_norm/layer_norm.h).
#pragma once

#include "core/autograd.h"

namespace atrous::layers {

// y = gamma * (x - mean) / sqrt(var + eps) + beta, x [..., C], statistics per pixel, gamma and beta [C].
Variable layer_norm(const Variable& x, const Variable& gamma, const Variable& beta, double eps = 1e-5);

}  // namespace atrous::layers
