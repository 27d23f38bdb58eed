// Matrix products by cuBLAS. Only in builds with CUDA.
#pragma once

#include "core/tensor.h"

namespace atrous::kernels {

// y [M,N] = op(a) [M,K] op(b) [K,N] on the current stream, where op transposes or not. a and b are both f32
// or both bf16, y is f32 or of their type; all row-major matrices on Device::cuda, none empty. Sums are f32;
// with `tf32` the factors of f32 products are rounded to it.
void cublas_product(const Tensor& a, bool transpose_a, const Tensor& b, bool transpose_b, const Tensor& y,
                    bool tf32);

}  // namespace atrous::kernels
