// The implementations of transpose; private to this folder. No tensor is empty, y is dense.
#pragma once

#include "kernels/gpu/declare.h"
#include "kernels/transpose/transpose.h"

namespace atrous::kernels {

using TransposeFn = void(const TransposeProblem&, const Tensor& x, const Tensor& y);
TransposeFn transpose_ref, transpose_blocks;
ATROUS_DECLARE_ON_GPU(TransposeFn transpose_naive, transpose_tiled;)

}  // namespace atrous::kernels
