// Label maps as losses see them: checked once, then i32.
#pragma once

#include "core/tensor.h"

namespace atrous::kernels {

// `labels` as contiguous i32 of shape `pixels` ([N,H,W]); i32 and u8 are accepted. Every value must be in [0,
// classes) or ignore_index: Error(data) names the first pixel that breaks this. Wrong shape or type:
// Error(usage).
Tensor checked_labels(const char* op, const Tensor& labels, const Shape& pixels, int64_t classes,
                      int64_t ignore_index);

// The factor of a loss: 1 for a sum; for a mean 1 / sum of class_weights[y] * pixel_weights over the pixels
// that count (in double, in a fixed order), or 0 if that sum is 0. Undefined weights are 1; defined ones have
// passed the checks below.
double loss_scale(bool mean, const Tensor& checked, int64_t ignore_index, const Tensor& class_weights,
                  const Tensor& pixel_weights);

// Class weights as f64 [classes], or undefined as given. Errors (usage): other shape, a negative or
// non-finite weight.
Tensor checked_class_weights(const char* op, const Tensor& class_weights, int64_t classes);
// Pixel weights as contiguous f64 of shape `pixels`, or undefined as given.
Tensor checked_pixel_weights(const char* op, const Tensor& pixel_weights, const Shape& pixels);

}  // namespace atrous::kernels
