// The implementations of reductions; private to this folder.
#pragma once

#include "kernels/gpu/declare.h"
#include "kernels/reduce/reduce.h"

namespace atrous::kernels {

using ReduceFn = void(const ReduceProblem&, const Tensor& x, const Tensor& result);
ReduceFn reduce_sum_ref, reduce_sum_cpu;
ATROUS_DECLARE_ON_GPU(ReduceFn reduce_sum_naive, reduce_sum_blocks;)

}  // namespace atrous::kernels
