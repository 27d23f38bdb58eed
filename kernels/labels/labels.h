// Label maps and weights of losses: checked once, before the loss is computed.
//
// On the CPU a bad label is an error at once. On a device the loss reports it
// (kernels/loss_scale/loss_scale.h).
#pragma once

#include "core/tensor.h"

namespace atrous::kernels {

// A label that is neither a class nor ignored.
struct BadLabel {
  int64_t found = 0;  // 0 or 1
  int64_t pixel = 0, height = 0, width = 0;
  int64_t label = 0, classes = 0, ignore_index = 0;
};
// Error(data) that names it.
[[noreturn]] void fail_bad_label(const char* op, const BadLabel& bad);

// `labels` as contiguous labels of shape `pixels` ([N,H,W]); i32 and u8 are accepted. Every value must be in
// [0, classes) or ignore_index. On the CPU: the result is i32, and Error(data) names the first pixel that
// breaks this. On a device: the result is as given, and loss_scale checks it. Wrong shape or type:
// Error(usage).
Tensor checked_labels(const char* op, const Tensor& labels, const Shape& pixels, int64_t classes,
                      int64_t ignore_index);

// Class weights for losses, [classes]: f64 on the CPU, f32 on a device; or undefined as given. They
// may be given in host memory for any device. Errors (usage): other shape, a negative or non-finite weight in
// host memory (weights that lie on a device already are taken as they are).
Tensor checked_class_weights(const char* op, const Tensor& class_weights, int64_t classes, Device device);
// Pixel weights as contiguous f64 (f32 on a device) of shape `pixels`, or undefined as given.
Tensor checked_pixel_weights(const char* op, const Tensor& pixel_weights, const Shape& pixels, Device device);

}  // namespace atrous::kernels
