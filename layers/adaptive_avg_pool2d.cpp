#include "layers/adaptive_avg_pool2d.h"

namespace atrous::layers {

Variable adaptive_avg_pool2d(const Variable& x, int64_t out_height, int64_t out_width, const Tensor& out) {
  const Tensor y = kernels::adaptive_avg_pool2d(x.value(), out_height, out_width, out);
  return record("adaptive_avg_pool2d", y, {x},
                [shape = x.shape()](const BackwardContext& ctx) -> std::vector<Tensor> {
                  return {kernels::adaptive_avg_pool2d_backward(ctx.grad(), shape)};
                });
}

}  // namespace atrous::layers
