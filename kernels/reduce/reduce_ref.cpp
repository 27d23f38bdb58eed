// The reference of reductions: one sum in double, in order.
#include "kernels/common/visit.h"
#include "kernels/reduce/reduce_impl.h"

namespace atrous::kernels {

void reduce_sum_ref(const ReduceProblem& problem, const Tensor& x, const Tensor& result) {
  visit_float(problem.dtype, [&](auto tag) {
    using T = decltype(tag);
    double sum = 0;
    for (int64_t p = 0; p < x.pixels(); ++p) {
      for (int64_t c = 0; c < x.channels(); ++c)
        sum += static_cast<double>(x.data<T>()[p * x.pixel_stride() + c]);
    }
    result.data<T>()[0] = static_cast<T>(sum * problem.factor);
  });
}

}  // namespace atrous::kernels
