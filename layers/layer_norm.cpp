#include "layers/layer_norm.h"

#include "kernels/common/arithmetic.h"
#include "kernels/layer_norm/layer_norm.h"

namespace atrous::layers {

Variable layer_norm(const Variable& x, const Variable& gamma, const Variable& beta, double eps) {
  const Tensor& input = x.value();
  const Tensor y = Tensor::empty_like(input);
  const Tensor mean =
                   Tensor::empty({input.pixels()}, kernels::parameter_dtype(input.dtype()), input.device()),
               invstd = Tensor::empty_like(mean);
  kernels::layer_norm_forward(input, gamma.value(), beta.value(), eps, y, mean, invstd);
  return record("layer_norm", y, {x, gamma, beta},
                [=, saved_x = Saved(input),
                 saved_gamma = Saved(gamma.value())](const BackwardContext& ctx) -> std::vector<Tensor> {
                  const Tensor dx = Tensor::empty_like(ctx.grad());
                  const Tensor dgamma = Tensor::empty_like(saved_gamma.get()),
                               dbeta = Tensor::empty_like(dgamma);
                  kernels::layer_norm_backward(saved_x.get(), ctx.grad(), mean, invstd, saved_gamma.get(), dx,
                                               dgamma, dbeta);
                  return {dx, dgamma, dbeta};
                });
}

}  // namespace atrous::layers
