// Differentiable linear layer on the gemm kernels.
#pragma once

#include "core/autograd.h"
#include "kernels/gemm/gemm.h"

namespace atrous::layers {

// y[..., o] = sum_i x[..., i] * w[o, i] + bias[o].  x [..., I], w [O,I], bias [O] or undefined; gives [...,
// O].
Variable linear(const Variable& x, const Variable& w, const Variable& bias, kernels::Math math = {});

}  // namespace atrous::layers
