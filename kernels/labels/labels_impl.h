// Labels on a device; private to this folder.
#pragma once

#include "kernels/gpu/declare.h"
#include "kernels/labels/labels.h"

namespace atrous::kernels {

// The first bad label that a device has found. Stays on the device until it is read.
struct BadLabel {
  int64_t found = 0;  // 0 or 1; the first one is kept
  int64_t pixel = 0, height = 0, width = 0;
  int64_t label = 0, classes = 0, ignore_index = 0;
};
inline constexpr int64_t bad_label_words = sizeof(BadLabel) / sizeof(int64_t);

// Writes the factor into `scale` and a bad label into `report`, i64 [bad_label_words].
using LossScaleFn = void(const LossScale& what, const Tensor& labels, const Tensor& scale,
                         const Tensor& report);
ATROUS_DECLARE_ON_GPU(LossScaleFn loss_scale;)

}  // namespace atrous::kernels
