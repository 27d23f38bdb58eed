#include "layers/pointwise_loss.h"

#include "layers/scaled_gradient.h"

namespace atrous::layers {

Variable binary_cross_entropy_with_logits(const Variable& x, const Tensor& targets, LossReduction reduction) {
  const auto result =
      kernels::binary_cross_entropy_with_logits(x.value(), targets, reduction, any_requires_grad({&x}));
  return record_with_gradient("binary_cross_entropy", result.loss, x, result.gradient);
}

Variable smooth_l1(const Variable& x, const Tensor& targets, double beta, LossReduction reduction) {
  const auto result = kernels::smooth_l1(x.value(), targets, beta, reduction, any_requires_grad({&x}));
  return record_with_gradient("smooth_l1", result.loss, x, result.gradient);
}

}  // namespace atrous::layers
