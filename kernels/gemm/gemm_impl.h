// The implementations of gemm. Everything has been checked; y is allocated.
#pragma once

#include "kernels/gemm/gemm.h"
#include "kernels/gpu/declare.h"

namespace atrous::kernels {

using GemmFn = void(const GemmProblem&, const Tensor& a, const Tensor& b, const Tensor& bias,
                    const Tensor& y);

GemmFn gemm_ref;

// gemm_add_bias: y = product [M,N] (f32, contiguous) + bias, for libraries that cannot add it.
ATROUS_DECLARE_ON_GPU(GemmFn gemm_naive, gemm_tiled;
                      void gemm_add_bias(const Tensor& product, const Tensor& bias, const Tensor& y);)

#ifdef ATROUS_WITH_CUDA
GemmFn gemm_cublas, gemm_cublas_tf32;
#endif

}  // namespace atrous::kernels
