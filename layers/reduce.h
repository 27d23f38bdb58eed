// Differentiable reductions to a scalar (kernels/reduce/reduce.h).
#pragma once

#include "core/autograd.h"

namespace atrous::layers {

// The sum of all elements, shape [].
Variable sum(const Variable& x);
// Their mean. The mean of nothing is Error(usage).
Variable mean(const Variable& x);

}  // namespace atrous::layers
