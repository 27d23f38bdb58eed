// Label maps for losses: checked once, before or while the loss is computed.
//
// On the CPU a bad label is an error at once. On a device the host must not wait for a result in the middle
// of a step, so the kernel that adds up the weights also looks for bad labels: it leaves them out, writes the
// first of them into a report that stays on the device, and makes the factor of the loss NaN. The training
// loop reads the loss anyway; when that is not finite it reads the report (report_bad_labels).
#pragma once

#include "core/tensor.h"

namespace atrous::kernels {

// `labels` as contiguous labels of shape `pixels` ([N,H,W]); i32 and u8 are accepted. Every value must be in
// [0, classes) or ignore_index. On the CPU: the result is i32, and Error(data) names the first pixel that
// breaks this. On a device: the result is as given, and loss_scale checks it. Wrong shape or type:
// Error(usage).
Tensor checked_labels(const char* op, const Tensor& labels, const Shape& pixels, int64_t classes,
                      int64_t ignore_index);

// Inputs of the factor of a loss. Undefined weights are 1; defined ones have passed the checks below.
struct LossScale {
  bool mean = true;
  int64_t classes = 0;
  int64_t ignore_index = 255;
  Tensor class_weights{};
  Tensor pixel_weights{};
};
// The factor of a loss, one f64 on the device of the labels: 1 for a sum; for a mean 1 / sum of
// class_weights[y] * pixel_weights over the pixels that count (in double, in a fixed order), or 0 if that sum
// is 0. On a device NaN if a label is bad. `checked` is [N,H,W] from checked_labels.
Tensor loss_scale(const LossScale& what, const Tensor& checked);

// Error(data) if a loss on a device has found a bad label since the last call; names the first. Waits for the
// device.
void report_bad_labels();

// Class weights for losses, [classes]: f64 on the CPU, f32 on a device; or undefined as given. They
// may be given in host memory for any device. Errors (usage): other shape, a negative or non-finite weight in
// host memory (weights that lie on a device already are taken as they are).
Tensor checked_class_weights(const char* op, const Tensor& class_weights, int64_t classes, Device device);
// Pixel weights as contiguous f64 (f32 on a device) of shape `pixels`, or undefined as given.
Tensor checked_pixel_weights(const char* op, const Tensor& pixel_weights, const Shape& pixels, Device device);

}  // namespace atrous::kernels
