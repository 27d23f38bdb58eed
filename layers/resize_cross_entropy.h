// Cross-entropy of low-resolution logits against full-resolution labels.
#pragma once

#include "layers/cross_entropy.h"

namespace atrous::layers {

// Equals cross_entropy(resize(logits, labels' size, bilinear, align_corners), labels, options) within
// rounding, without ever storing full-resolution logits
// (kernels/resize_cross_entropy/resize_cross_entropy.h).
Variable resize_cross_entropy(const Variable& logits, const Tensor& labels, bool align_corners,
                              const CrossEntropyOptions& options = {});

}  // namespace atrous::layers
