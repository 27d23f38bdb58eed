#include "kernels/common/visit.h"
#include "kernels/pointwise_loss/pointwise_loss_impl.h"
#include "kernels/pointwise_loss/pointwise_loss_math.h"

namespace atrous::kernels {

void pointwise_loss_ref(const PointwiseLossProblem& p, const Tensor& x, const Tensor& targets,
                        const PointwiseLossResult& out) {
  visit_float(p.dtype, [&](auto tag) {
    using T = decltype(tag);
    const int64_t c = x.channels();
    double sum = 0;
    for (int64_t i = 0; i < x.numel(); ++i) {
      const auto value = static_cast<double>(x.data<T>()[i / c * x.pixel_stride() + i % c]);
      const auto e = element_loss(p.kind, p.beta, value, static_cast<double>(targets.data<T>()[i]));
      sum += e.value;
      if (out.gradient.defined()) out.gradient.data<T>()[i] = static_cast<T>(e.slope * p.scale);
    }
    *out.loss.data<T>() = static_cast<T>(sum * p.scale);
  });
}

}  // namespace atrous::kernels
