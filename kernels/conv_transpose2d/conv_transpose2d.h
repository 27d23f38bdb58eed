// Transposed convolution ("deconvolution", up-convolution): the gradient of a convolution with respect to its
// input.
//
//   y[n, h*stride_h + r*dilation_h - pad_h, w*stride_w + s*dilation_w - pad_w, c] += x[n,h,w,k] * f[k,r,s,c]
//
// for all n,h,w,k,r,s,c whose target lies inside y, plus bias[c]. Extents:
//
//   out = (in - 1)*stride - 2*pad + dilation*(taps - 1) + 1 + output_padding
//
// The filter f is that of the convolution it transposes, which reads y and writes x: [K,R,S,C/groups] with K
// the channels of x and C those of y. PyTorch's ConvTranspose2d weight (in, out/groups, R, S) is permuted to
// it like any other filter. output_padding picks one of the `stride` sizes that the convolution maps to the
// same size; it must be below the stride. f32, f64 and, on GPUs, bf16
// (bias and gradient of w are f32 then); any pixel stride. Errors: Error(usage).
#pragma once

#include <string>

#include "kernels/conv2d/conv2d.h"

namespace atrous::kernels {

struct ConvTranspose2dOptions {
  Pair stride{1, 1};
  Pair pad{0, 0};
  Pair output_padding{0, 0};
  Pair dilation{1, 1};
  int64_t groups = 1;
  Math math = {};
};

struct ConvTranspose2dProblem {
  Conv2dProblem conv;  // the convolution that this one transposes
  Shape input_shape() const { return conv.output_shape(); }
  Shape output_shape() const { return conv.input_shape(); }
  Conv2dOptions conv_options() const;
  double flops() const { return conv.flops(); }
  std::string str() const;  // "transposed " + that of the convolution

  static ConvTranspose2dProblem make(const char* where, const Shape& input, const Shape& filter,
                                     const ConvTranspose2dOptions& options, DType dtype);
};

inline DType* activation_dtype(ConvTranspose2dProblem& p) {
  return &p.conv.dtype;
}
inline Math math_of(const ConvTranspose2dProblem& p) {
  return p.conv.math;
}

// y [N,H,W,C], written into `out` if given. `bias` [C] may be undefined.
Tensor conv_transpose2d(const Tensor& x, const Tensor& w, const Tensor& bias,
                        const ConvTranspose2dOptions& options, Tensor out = {});
// Gradient of x, of shape `input_shape`.
Tensor conv_transpose2d_backward_input(const Tensor& dy, const Tensor& w,
                                       const ConvTranspose2dOptions& options, const Shape& input_shape);
// Gradient of w, of shape `filter_shape`, contiguous. That of the bias is conv2d_backward_bias(dy).
Tensor conv_transpose2d_backward_weight(const Tensor& dy, const Tensor& x,
                                        const ConvTranspose2dOptions& options, const Shape& filter_shape);

}  // namespace atrous::kernels
