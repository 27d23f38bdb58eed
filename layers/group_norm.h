// Differentiable group normalisation (kernels/group_norm/group_norm.h).
#pragma once

#include "core/autograd.h"
#include "kernels/common/activation.h"

namespace atrous::layers {

// y = activation(gamma * (x - mean) / sqrt(var + eps) + beta), x [N, ..., C], statistics per image and group
// of C/groups channels, gamma and beta [C]. `out`, if given, receives y. Error(usage) if groups does not
// divide C.
Variable group_norm(const Variable& x, int64_t groups, const Variable& gamma, const Variable& beta,
                    double eps = 1e-5, kernels::Activation activation = kernels::Activation::none,
                    const Tensor& out = {});

}  // namespace atrous::layers
