// Swaps the last two axes:
//
//   y[..., c, r] = x[..., r, c]
//
// For a feature map [N, H*W, C] this puts channels first, the order in which PyTorch flattens. Its gradient
// is itself.
#pragma once

#include <string>

#include "core/tensor.h"

namespace atrous::kernels {

struct TransposeProblem {
  int64_t matrices = 0, rows = 0, columns = 0;  // of x
  DType dtype = DType::f32;
  std::string str() const;  // "512 of 49x256 f32"
};

// x [..., R, C] of any dtype and pixel stride -> [..., C, R], dense. Error(usage): fewer than two axes.
Tensor transpose(const Tensor& x);

}  // namespace atrous::kernels
