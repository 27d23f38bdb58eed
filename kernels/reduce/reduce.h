// Sum of all elements times a factor: factor 1 is the sum, 1/numel the mean. f64 accumulation over fixed
// blocks merged in order, so the result does not depend on the number of threads.
#pragma once

#include <string>

#include "core/tensor.h"

namespace atrous::kernels {

struct ReduceProblem {
  Shape shape;
  DType dtype = DType::f32;
  double factor = 1;
  std::string str() const;  // "f32 [2, 8, 8, 16] factor 1"
};

// `result` has one element of the dtype of x, f32 or f64; f32 for bf16 (on a device). The sum of nothing is
// 0.
void reduce_sum(const Tensor& x, double factor, const Tensor& result);

}  // namespace atrous::kernels
