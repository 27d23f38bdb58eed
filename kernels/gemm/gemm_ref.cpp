// The reference of gemm: plain loops, double accumulation.
#include "core/parallel.h"
#include "kernels/gemm/gemm_impl.h"

namespace atrous::kernels {
namespace {

template <class T>
void run(const GemmProblem& p, const Tensor& a, const Tensor& b, const Tensor& bias, const Tensor& y) {
  const T* pa = a.data<T>();
  const T* pb = b.data<T>();
  const int64_t lda = a.pixel_stride(), ldb = b.pixel_stride();
  parallel_for(p.m, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      for (int64_t j = 0; j < p.n; ++j) {
        double sum = bias.defined() ? static_cast<double>(bias.data<T>()[j]) : 0.0;
        for (int64_t l = 0; l < p.k; ++l) {
          const T left = p.form == GemmForm::tn ? pa[l * lda + i] : pa[i * lda + l];
          const T right = p.form == GemmForm::nt ? pb[j * ldb + l] : pb[l * ldb + j];
          sum += static_cast<double>(left) * static_cast<double>(right);
        }
        y.data<T>()[i * y.pixel_stride() + j] = static_cast<T>(sum);
      }
    }
  });
}

}  // namespace

void gemm_ref(const GemmProblem& p, const Tensor& a, const Tensor& b, const Tensor& bias, const Tensor& y) {
  p.dtype == DType::f32 ? run<float>(p, a, b, bias, y) : run<double>(p, a, b, bias, y);
}

}  // namespace atrous::kernels
