// Whether an op says rightly which positions it reads.
#pragma once

#include <string>
#include <vector>

#include "tests/kernels/op_case.h"

namespace atrous::cases {

// "" if the Reach of the op's entry (core/reach.h) covers the support of the gradient with respect to the
// first input, a map, at some positions of the result. It may cover more: a pool passes gradients to maxima
// only.
std::string check_reach(const GradientCase& c, const std::vector<Variable>& inputs);

}  // namespace atrous::cases
