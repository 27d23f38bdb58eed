#include "layers/resize.h"

namespace atrous::layers {

Variable resize(const Variable& x, const ResizeOptions& options, const Tensor& out) {
  const Tensor y = kernels::resize_forward(x.value(), options, out);
  return record("resize", y, {x},
                [shape = x.shape(), options](const BackwardContext& ctx) -> std::vector<Tensor> {
                  return {kernels::resize_backward(ctx.grad(), shape, options)};
                });
}

}  // namespace atrous::layers
