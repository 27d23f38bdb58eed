// Other extents for the same elements, on the tape.
#pragma once

#include "core/autograd.h"

namespace atrous::layers {

// A view of x (Tensor::reshape); copied first where x is not dense and its last axis changes.
Variable reshape(const Variable& x, const Shape& shape);

}  // namespace atrous::layers
