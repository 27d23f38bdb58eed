// Differentiable local response normalisation (formula: kernels/local_response_norm/local_response_norm.h).
#pragma once

#include "core/autograd.h"
#include "kernels/local_response_norm/local_response_norm.h"

namespace atrous::layers {

using kernels::LocalResponseNormOptions;

// x: [..., C].
Variable local_response_norm(const Variable& x, const LocalResponseNormOptions& options = {});

}  // namespace atrous::layers
