// Concatenation along channels.
#pragma once

#include <vector>

#include "core/autograd.h"

namespace atrous::layers {

// y[.., o_i + c] = x_i[.., c]. Shapes may differ in the last axis only. Copies; backward hands out
// channel slices of dy, copied only where a view would keep too much of dy alive.
Variable concat(const std::vector<Variable>& parts);

// The same for producers that have already written their values into the slices of `buffer` (in order):
// nothing is copied. Error (internal) if a value is not the slice it should be.
Variable concat_in_place(const ConcatBuffer& buffer, const std::vector<Variable>& producers);

}  // namespace atrous::layers
