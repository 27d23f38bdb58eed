// The factor of a loss, from its labels y:
//
//   s = 1 / sum_p w_y u_p   mean: w class weights, u pixel weights, over the pixels with y_p != ignore_index;
//                           0 if that sum is 0
//   s = 1                   sum
//
// The sum is in double, in a fixed order.
//
// Not differentiable: no layer.
//
// On a device the host must not wait for a result in the middle of a step. So this op also looks for bad
// labels there: it leaves them out, writes the first of them into a report that stays on the device, and
// makes the factor NaN. The training loop reads the loss anyway; when that is not finite it reads the report
// (report_bad_labels). On the CPU checked_labels (kernels/labels/labels.h) has refused them before.
#pragma once

#include <string>

#include "core/tensor.h"

namespace atrous::kernels {

struct LossScaleProblem {
  bool mean = true;
  int64_t n = 0, h = 0, w = 0, classes = 0;
  int64_t ignore_index = 255;
  bool class_weights = false, pixel_weights = false;

  int64_t pixels() const { return n * h * w; }
  std::string str() const;  // "n2 5x7 k21 ignore255 class_weights"
};

// Inputs beside the labels. Undefined weights are 1; defined ones are as kernels/labels/labels.h returns
// them.
struct LossScale {
  bool mean = true;
  int64_t classes = 0;
  int64_t ignore_index = 255;
  Tensor class_weights{};  // [classes]
  Tensor pixel_weights{};  // [N,H,W]
};
// One f64 on the device of the labels. `checked` is [N,H,W] from checked_labels. On a device NaN if a label
// is bad.
Tensor loss_scale(const LossScale& what, const Tensor& checked);

// Error(data) if a loss on a device has found a bad label since the last call; names the first. Waits for the
// device.
void report_bad_labels();

}  // namespace atrous::kernels
