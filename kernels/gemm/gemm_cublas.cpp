// gemm by cuBLAS, which adds no bias: with one the product goes through an f32 workspace, so that the sum is
// rounded once.
#include "kernels/gemm/gemm_impl.h"

#ifdef ATROUS_WITH_CUDA

#include "kernels/gpu/cublas.h"

namespace atrous::kernels {

static void run(const GemmProblem& p, const Tensor& a, const Tensor& b, const Tensor& bias, const Tensor& y,
                bool tf32) {
  const bool transpose_a = p.form == GemmForm::tn, transpose_b = p.form == GemmForm::nt;
  if (!bias.defined()) return cublas_product(a, transpose_a, b, transpose_b, y, tf32);
  const Tensor product = Tensor::empty({p.m, p.n}, DType::f32, y.device());
  cublas_product(a, transpose_a, b, transpose_b, product, tf32);
  cuda::gemm_add_bias(product, bias, y);
}

void gemm_cublas(const GemmProblem& p, const Tensor& a, const Tensor& b, const Tensor& bias,
                 const Tensor& y) {
  run(p, a, b, bias, y, false);
}
void gemm_cublas_tf32(const GemmProblem& p, const Tensor& a, const Tensor& b, const Tensor& bias,
                      const Tensor& y) {
  run(p, a, b, bias, y, true);
}

}  // namespace atrous::kernels

#endif
