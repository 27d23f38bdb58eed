// Softmax and log-softmax over the last axis (channels).
//
//   softmax      y_k = exp(x_k - max x) / sum_j exp(x_j - max x)     dx_k = y_k (dy_k - sum_j y_j dy_j)
//   log-softmax  y_k = x_k - max x - log sum_j exp(x_j - max x)      dx_k = dy_k - exp(y_k) sum_j dy_j
#pragma once

#include <string>

#include "core/tensor.h"

namespace atrous::kernels {

struct SoftmaxProblem {
  int64_t pixels = 0;
  int64_t channels = 0;
  bool log = false;
  DType dtype = DType::f32;
  std::string str() const;  // "p4096 c21 log f32"
};

// x: f32, f64 or (on a device) bf16 of rank >= 1, any pixel stride. The result is contiguous. Errors (usage):
// other types, no channels.
Tensor softmax_forward(const Tensor& x, bool log = false);
// y: what forward returned.
Tensor softmax_backward(const Tensor& y, const Tensor& dy, bool log = false);

}  // namespace atrous::kernels
