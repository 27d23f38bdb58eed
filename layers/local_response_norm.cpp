#include "layers/local_response_norm.h"

namespace atrous::layers {

Variable local_response_norm(const Variable& x, const LocalResponseNormOptions& options) {
  const Tensor y = kernels::local_response_norm(x.value(), options);
  return record("local_response_norm", y, {x},
                [x = Saved(x.value()), options](const BackwardContext& ctx) -> std::vector<Tensor> {
                  return {kernels::local_response_norm_backward(ctx.grad(), x.get(), options)};
                });
}

}  // namespace atrous::layers
