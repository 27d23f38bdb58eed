// f32 on all threads: one f64 sum per chunk of fixed size, added in order.
#include <algorithm>
#include <vector>

#include "core/parallel.h"
#include "kernels/pointwise_loss/pointwise_loss_impl.h"
#include "kernels/pointwise_loss/pointwise_loss_math.h"

namespace atrous::kernels {

void pointwise_loss_chunks(const PointwiseLossProblem& p, const Tensor& x, const Tensor& targets,
                           const PointwiseLossResult& out) {
  const int64_t c = x.channels(), chunk = std::max<int64_t>(1, 4096 / c);  // pixels
  const auto beta = static_cast<float>(p.beta), scale = static_cast<float>(p.scale);
  std::vector<double> sums(static_cast<size_t>((x.pixels() + chunk - 1) / chunk));
  parallel_for(x.pixels(), chunk, [&](int64_t begin, int64_t end) {
    double sum = 0;
    for (int64_t pixel = begin; pixel < end; ++pixel) {
      const float* row = x.data<float>() + pixel * x.pixel_stride();
      const float* target = targets.data<float>() + pixel * c;
      float* gradient = out.gradient.defined() ? out.gradient.data<float>() + pixel * c : nullptr;
      for (int64_t k = 0; k < c; ++k) {
        const ElementLoss<float> e = element_loss(p.kind, beta, row[k], target[k]);
        sum += static_cast<double>(e.value);
        if (gradient) gradient[k] = e.slope * scale;
      }
    }
    sums[static_cast<size_t>(begin / chunk)] = sum;
  });
  double sum = 0;
  for (double s : sums) sum += s;
  *out.loss.data<float>() = static_cast<float>(sum * p.scale);
}

}  // namespace atrous::kernels
