#include "layers/group_norm.h"

#include "kernels/common/arithmetic.h"
#include "kernels/group_norm/group_norm.h"

namespace atrous::layers {

Variable group_norm(const Variable& x, int64_t groups, const Variable& gamma, const Variable& beta,
                    double eps, kernels::Activation activation, const Tensor& out) {
  const Tensor& input = x.value();
  ATROUS_CHECK(groups >= 1, ErrorKind::usage, "[group_norm] there must be at least one group. Got {}.",
               groups);
  const Tensor y = out.defined() ? out : Tensor::empty_like(input);
  const Shape statistics{input.rank() ? input.dim(0) : 0, groups};
  const Tensor mean = Tensor::empty(statistics, kernels::parameter_dtype(input.dtype()), input.device()),
               invstd = Tensor::empty_like(mean);
  kernels::group_norm_forward(input, groups, gamma.value(), beta.value(), eps, activation, y, mean, invstd);
  const Saved saved_y = activation == kernels::Activation::none ? Saved() : Saved(y);
  return record(
      "group_norm", y, {x, gamma, beta},
      [=, saved_x = Saved(input),
       saved_gamma = Saved(gamma.value())](const BackwardContext& ctx) -> std::vector<Tensor> {
        const Tensor dx = Tensor::empty_like(ctx.grad());
        const Tensor dgamma = Tensor::empty_like(saved_gamma.get()), dbeta = Tensor::empty_like(dgamma);
        kernels::group_norm_backward(saved_x.get(), saved_y.defined() ? saved_y.get() : Tensor(), ctx.grad(),
                                     mean, invstd, saved_gamma.get(), activation, dx, dgamma, dbeta);
        return {dx, dgamma, dbeta};
      });
}

}  // namespace atrous::layers
