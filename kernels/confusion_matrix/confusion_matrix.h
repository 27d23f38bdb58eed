// Counts of label against prediction, and the predictions themselves.
//
//   argmax            y[pixel] = the first k with the largest logits[pixel, k]
//   confusion_matrix  counts[label, prediction] += 1 for every pixel, or `ignored` += 1, or `invalid` += 1
//   argmax_confusion  confusion_matrix of argmax, without storing the predictions
//
// Not differentiable: no layer.
//
// Counts are integers, so their sums have no order: the result is the same on every device.
#pragma once

#include <string>

#include "core/host_device.h"
#include "core/tensor.h"

namespace atrous::kernels {

struct ConfusionProblem {
  int64_t pixels = 0, classes = 0;
  int64_t ignore_index = 255;
  DType label = DType::u8, prediction = DType::u8;
  DType dtype = DType::f32;  // of the logits, if there are any
  std::string str() const;   // "px35 k21 ignore255 label u8 prediction i32 f32"
};

// The result is one i64 vector, so that one copy brings all of it to the host: counts[label, prediction] row
// by row, then the two counters of pixels that are in none of them.
constexpr int64_t ignored_bin(int64_t classes) {
  return classes * classes;
}
constexpr int64_t invalid_bin(int64_t classes) {
  return classes * classes + 1;
}
constexpr int64_t confusion_bins(int64_t classes) {
  return classes * classes + 2;
}
// The bin that a pixel increments. The label alone decides what is ignored; invalid is a label or a
// prediction outside [0, classes).
ATROUS_HD inline int64_t confusion_bin(int64_t label, int64_t prediction, int64_t classes, int64_t ignore) {
  if (label == ignore) return classes * classes;
  const bool valid = label >= 0 && label < classes && prediction >= 0 && prediction < classes;
  return valid ? label * classes + prediction : classes * classes + 1;
}

// i64 [confusion_bins(classes)] on the device of the inputs. label, prediction: u8 or i32 of one shape. The
// caller decides how invalid values are handled. Errors (usage): other types, shapes or devices.
Tensor confusion_matrix(const Tensor& label, const Tensor& prediction, int64_t classes, int64_t ignore_index);

// logits [..., K], K >= 1, f32, f64 (on the CPU) or bf16 (on a GPU), any pixel stride -> labels [...] of type
// u8 (K <= 256) or i32.
Tensor argmax(const Tensor& logits, DType dtype = DType::u8);

// confusion_matrix(label, argmax(logits)): logits [..., K], label u8 or i32 [...].
Tensor argmax_confusion(const Tensor& logits, const Tensor& label, int64_t ignore_index);

}  // namespace atrous::kernels
