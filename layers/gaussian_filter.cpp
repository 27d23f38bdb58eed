#include "layers/gaussian_filter.h"

namespace atrous::layers {

Variable gaussian_filter(const Variable& x, double sigma, const Tensor& before, const Tensor& after) {
  const Tensor y = kernels::gaussian_filter(x.value(), sigma, before, after);
  return record("gaussian_filter", y, {x},
                [sigma, before, after](const BackwardContext& ctx) -> std::vector<Tensor> {
                  return {kernels::gaussian_filter(ctx.grad(), sigma, after, before)};
                });
}

}  // namespace atrous::layers
