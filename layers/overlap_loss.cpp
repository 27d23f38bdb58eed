#include "layers/overlap_loss.h"

#include "layers/scaled_gradient.h"

namespace atrous::layers {

Variable overlap_loss(const Variable& probabilities, const Tensor& labels,
                      const OverlapLossOptions& options) {
  const auto result =
      kernels::overlap_loss(probabilities.value(), labels, options, any_requires_grad({&probabilities}));
  return record_with_gradient("overlap_loss", result.loss, probabilities, result.gradient);
}

}  // namespace atrous::layers
