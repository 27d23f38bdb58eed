// Resize of the spatial axes of an activation to any size: bilinear or nearest
// (kernels/resize/resize_math.h).
//
//   y[n,i,j,c] = sum over taps a of row i, b of column j:  w_i(a) w_j(b) x[n,a,b,c]
//
// backward gathers: dx[n,a,b,c] = sum over the output samples that read (a,b), in a fixed order.
#pragma once

#include <string>

#include "core/tensor.h"
#include "kernels/resize/resize_math.h"

namespace atrous::kernels {

struct ResizeOptions {
  int64_t height = 0;
  int64_t width = 0;
  ResizeMode mode = ResizeMode::bilinear;
  bool align_corners = false;  // bilinear only
};

struct ResizeProblem {
  int64_t n = 0, in_h = 0, in_w = 0, channels = 0, out_h = 0, out_w = 0;
  ResizeMode mode = ResizeMode::bilinear;
  bool align_corners = false;
  DType dtype = DType::f32;

  std::string str() const;  // "n1 64x64 to 512x512 c21 bilinear f32"
};

// Checks input shape and options; errors (usage): rank other than 4, empty sizes, align_corners with nearest.
ResizeProblem resize_problem(const Shape& x, DType dtype, const ResizeOptions& options);
Shape resize_shape(const ResizeProblem& p);

// x: [N,H,W,C] f32, f64 (on the CPU) or bf16 (on a GPU), any pixel stride. Returns [N,height,width,C],
// contiguous, or `out` if given (any pixel stride).
Tensor resize_forward(const Tensor& x, const ResizeOptions& options, const Tensor& out = {});
// dy: [N,height,width,C]. Returns the gradient of the input of shape `x`.
Tensor resize_backward(const Tensor& dy, const Shape& x, const ResizeOptions& options);

}  // namespace atrous::kernels
