// Average pooling.
//
//   y[n,oh,ow,c] = 1/count * sum over the window of x[n, oh*stride - pad + r, ow*stride - pad + s, c]
//
// With count_include_pad the count is that of the window cut to the padded input, else that of the pixels
// inside the input (so a ceil-mode window is never divided by what lies beyond the padding, as in PyTorch).
// Backward: dx = sum over the windows that hold the pixel of dy/count.
//
// All tensors are [N,H,W,C] in f32, f64 (on the CPU) or bf16 (on a GPU) and may have any pixel stride.
// Errors: Error(usage).
#pragma once

#include <string>

#include "core/tensor.h"
#include "kernels/common/averaging_math.h"
#include "kernels/common/pool2d.h"

namespace atrous::kernels {

struct AvgPool2dOptions {
  Pool2dOptions window;  // dilation must be 1
  bool count_include_pad = true;
};

struct AvgPool2dProblem {
  Pool2dProblem pool;
  bool count_include_pad = true;
  static AvgPool2dProblem make(const char* where, const Shape& input, DType dtype,
                               const AvgPool2dOptions& options);
  AveragingAxis rows() const;
  AveragingAxis cols() const;
  std::string str() const;
};
inline DType* activation_dtype(AvgPool2dProblem& p) {
  return &p.pool.dtype;
}

// y, written into `out` if given.
Tensor avg_pool2d(const Tensor& x, const AvgPool2dOptions& options, Tensor out = {});
// dx, of shape `input_shape`.
Tensor avg_pool2d_backward(const Tensor& dy, const AvgPool2dOptions& options, const Shape& input_shape);

}  // namespace atrous::kernels
