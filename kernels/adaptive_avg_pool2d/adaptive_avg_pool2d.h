// Average pooling to a given output size.
//
//   y[n,i,j,c] = mean of x[n,h,w,c] over h in [floor(i*H/OH), ceil((i+1)*H/OH)) and w likewise
//
// These are PyTorch's bins: they overlap where the output size does not divide the input size (7 -> 3 has
// bins of 3), and repeat pixels where the output is larger. Output 1x1 is the global average. Backward: dx =
// sum over the bins that hold the pixel of dy/(pixels of the bin).
//
// All tensors are [N,H,W,C] in f32, f64 (on the CPU) or bf16 (on a GPU) and may have any pixel stride.
// Errors: Error(usage).
#pragma once

#include <string>

#include "core/tensor.h"
#include "kernels/common/averaging_math.h"

namespace atrous::kernels {

struct AdaptiveAvgPool2dProblem {
  int64_t batch = 0, height = 0, width = 0, channels = 0;
  int64_t out_height = 0, out_width = 0;
  DType dtype = DType::f32;
  static AdaptiveAvgPool2dProblem make(const char* where, const Shape& input, DType dtype, int64_t out_height,
                                       int64_t out_width);
  AveragingAxis rows() const { return AveragingAxis::bins(height, out_height); }
  AveragingAxis cols() const { return AveragingAxis::bins(width, out_width); }
  Shape output_shape() const { return {batch, out_height, out_width, channels}; }
  std::string str() const;
};

// y, written into `out` if given.
Tensor adaptive_avg_pool2d(const Tensor& x, int64_t out_height, int64_t out_width, Tensor out = {});
// dx, of shape `input_shape`; the output size is that of dy.
Tensor adaptive_avg_pool2d_backward(const Tensor& dy, const Shape& input_shape);

}  // namespace atrous::kernels
