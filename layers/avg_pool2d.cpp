#include "layers/avg_pool2d.h"

namespace atrous::layers {

Variable avg_pool2d(const Variable& x, const AvgPool2dOptions& options, const Tensor& out) {
  const Tensor y = kernels::avg_pool2d(x.value(), options, out);
  return record("avg_pool2d", y, {x},
                [options, shape = x.shape()](const BackwardContext& ctx) -> std::vector<Tensor> {
                  return {kernels::avg_pool2d_backward(ctx.grad(), options, shape)};
                });
}

}  // namespace atrous::layers
