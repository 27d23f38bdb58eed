// Local response normalisation across channels (Krizhevsky, Sutskever, Hinton, "ImageNet classification with
// deep convolutional neural networks", NIPS 2012, section 3.3, with the sum divided by the window as in Caffe
// and PyTorch).
//
//   scale[c] = k + alpha/size * sum of x[j]^2 over channels j in [c - size/2, c + (size-1)/2] that exist
//   y[c]     = x[c] * scale[c]^-beta
//
// per pixel. Gradient:
//
//   dx[c] = dy[c]*scale[c]^-beta - 2*alpha*beta/size * x[c] * sum over the j whose window holds c of
//           dy[j]*x[j]*scale[j]^-(beta+1)
//
// Any shape whose last axis is the channels; f32 and f64 on the CPU, f32 and bf16 on a GPU; any pixel stride.
// Errors: Error(usage).
#pragma once

#include <string>

#include "core/tensor.h"

namespace atrous::kernels {

struct LocalResponseNormOptions {
  int64_t size = 5;
  double alpha = 1e-4;  // at least 0
  double beta = 0.75;
  double k = 1;  // above 0, so that scale is
};

struct LocalResponseNormProblem {
  Shape shape;
  LocalResponseNormOptions options;
  DType dtype = DType::f32;
  static LocalResponseNormProblem make(const char* where, const Shape& shape, DType dtype,
                                       const LocalResponseNormOptions& options);
  std::string str() const;
};

// y, written into `out` if given.
Tensor local_response_norm(const Tensor& x, const LocalResponseNormOptions& options, Tensor out = {});
// dx; the scale is computed again from x, which costs less than keeping it.
Tensor local_response_norm_backward(const Tensor& dy, const Tensor& x,
                                    const LocalResponseNormOptions& options);

}  // namespace atrous::kernels
