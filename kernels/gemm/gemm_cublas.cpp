// gemm by cuBLAS, which knows no bias: with one the product goes through an f32 workspace, so that the sum is
// rounded once.
#include "kernels/gemm/gemm_impl.h"

#ifdef ATROUS_WITH_CUDA

#include "kernels/gpu/cublas.h"

namespace atrous::kernels {

void gemm_cublas(const GemmProblem& p, const Tensor& a, const Tensor& b, const Tensor& bias,
                 const Tensor& y) {
  const bool transpose_a = p.form == GemmForm::tn, transpose_b = p.form == GemmForm::nt;
  if (!bias.defined()) return cublas_product(a, transpose_a, b, transpose_b, y);
  const Tensor product = Tensor::empty({p.m, p.n}, DType::f32, y.device());
  cublas_product(a, transpose_a, b, transpose_b, product);
  cuda::gemm_add_bias(product, bias, y);
}

}  // namespace atrous::kernels

#endif
