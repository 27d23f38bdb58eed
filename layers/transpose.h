// Differentiable swap of the last two axes (kernels/transpose/transpose.h).
#pragma once

#include "core/autograd.h"

namespace atrous::layers {

// [..., R, C] -> [..., C, R]
Variable transpose(const Variable& x);

}  // namespace atrous::layers
