#include "layers/resize_cross_entropy.h"

#include "kernels/resize_cross_entropy/resize_cross_entropy.h"
#include "layers/scaled_gradient.h"

namespace atrous::layers {

Variable resize_cross_entropy(const Variable& logits, const Tensor& labels, bool align_corners,
                              const CrossEntropyOptions& options) {
  const auto result = kernels::resize_cross_entropy(logits.value(), labels, align_corners, options,
                                                    any_requires_grad({&logits}));
  return record_with_gradient("resize_cross_entropy", result.loss, logits, result.gradient);
}

}  // namespace atrous::layers
