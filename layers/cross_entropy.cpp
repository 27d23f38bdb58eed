#include "layers/cross_entropy.h"

#include "layers/scaled_gradient.h"

namespace atrous::layers {

Variable cross_entropy(const Variable& logits, const Tensor& labels, const CrossEntropyOptions& options) {
  const auto result = kernels::cross_entropy(logits.value(), labels, options, any_requires_grad({&logits}));
  return record_with_gradient("cross_entropy", result.loss, logits, result.gradient);
}

}  // namespace atrous::layers
