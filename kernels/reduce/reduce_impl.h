// The implementations of reductions; private to this folder.
#pragma once

#include "kernels/reduce/reduce.h"

namespace atrous::kernels {

using ReduceFn = void(const ReduceProblem&, const Tensor& x, const Tensor& result);
ReduceFn reduce_sum_ref, reduce_sum_cpu;

}  // namespace atrous::kernels
