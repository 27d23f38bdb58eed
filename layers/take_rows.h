// Differentiable selection of rows and of a class's channels (kernels/take_rows/take_rows.h).
#pragma once

#include "core/autograd.h"
#include "kernels/take_rows/take_rows.h"

namespace atrous::layers {

// x [n, ..., C], index i32 [m] -> [m, ..., C]; an index outside [0, n) gives zeros.
Variable take_rows(const Variable& x, const Tensor& index);

// x [n, ..., K * width], index i32 [n] -> [n, ..., width]: the channels of class index[i] in row i, of masks
// [n, 28, 28, K] with width 1 or of box deltas [n, 4 K] with width 4.
Variable take_class(const Variable& x, const Tensor& index, int64_t width = 1);

}  // namespace atrous::layers
