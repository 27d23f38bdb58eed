// Differentiable adaptive average pooling (formula: kernels/adaptive_avg_pool2d/adaptive_avg_pool2d.h).
#pragma once

#include "core/autograd.h"
#include "kernels/adaptive_avg_pool2d/adaptive_avg_pool2d.h"

namespace atrous::layers {

// x: [N,H,W,C] -> [N,out_height,out_width,C], written into `out` if given.
Variable adaptive_avg_pool2d(const Variable& x, int64_t out_height, int64_t out_width,
                             const Tensor& out = {});

// The mean of each channel: [N,1,1,C].
inline Variable global_avg_pool2d(const Variable& x) {
  return adaptive_avg_pool2d(x, 1, 1);
}

}  // namespace atrous::layers
