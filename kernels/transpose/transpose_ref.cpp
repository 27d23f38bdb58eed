#include "kernels/transpose/transpose_impl.h"

namespace atrous::kernels {

void transpose_ref(const TransposeProblem& p, const Tensor& x, const Tensor& y) {
  visit_dtype(p.dtype, [&](auto tag) {
    using T = decltype(tag);
    for (int64_t i = 0; i < p.matrices; ++i) {
      for (int64_t r = 0; r < p.rows; ++r) {
        for (int64_t c = 0; c < p.columns; ++c) {
          y.data<T>()[(i * p.columns + c) * p.rows + r] =
              x.data<T>()[(i * p.rows + r) * x.pixel_stride() + c];
        }
      }
    }
  });
}

}  // namespace atrous::kernels
