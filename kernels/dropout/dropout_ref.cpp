// The reference of dropout.
#include "kernels/common/visit.h"
#include "kernels/dropout/dropout_impl.h"

namespace atrous::kernels {

void dropout_ref(const DropoutProblem& problem, const Tensor& x, const Tensor& y) {
  const CounterRng rng(problem.key);
  const int64_t channels = x.channels();
  const int64_t pixels_per_image = x.rank() && x.dim(0) ? x.pixels() / x.dim(0) : 1;
  visit_float(problem.dtype, [&](auto tag) {
    using T = decltype(tag);
    for (int64_t p = 0; p < x.pixels(); ++p) {
      const int64_t row = problem.by_channel ? p / pixels_per_image : p;
      for (int64_t c = 0; c < channels; ++c) {
        const bool kept =
            static_cast<double>(rng.uniform(static_cast<uint64_t>(row * channels + c))) >= problem.p;
        const double v = static_cast<double>(x.data<T>()[p * x.pixel_stride() + c]);
        y.data<T>()[p * y.pixel_stride() + c] = static_cast<T>(kept ? v * (1.0 / (1.0 - problem.p)) : 0.0);
      }
    }
  });
}

}  // namespace atrous::kernels
