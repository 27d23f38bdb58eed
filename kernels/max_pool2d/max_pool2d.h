// Max pooling and its partial inverse.
//
//   y[n,oh,ow,c]       = max over taps of x[n, oh*stride - pad + r*dilation, ow*stride - pad + s*dilation, c]
//   indices[n,oh,ow,c] = h*W + w of the tap that won (i32)
//
// Padding never wins. The first maximum in row order wins; a NaN wins over everything, the last one over
// earlier ones (as in PyTorch). A dilated window that covers no pixel at all gives -inf and index -1.
//
//   backward:   dx[n, h*W + w, c] = sum of dy over the windows whose index is h*W + w
//   unpool:     y[n, indices[n,oh,ow,c], c] = x[n,oh,ow,c], zero elsewhere (Zeiler & Fergus 2014; SegNet,
//               arXiv:1511.00561); where two windows name the same pixel, the later one in row order stays
//   unpool_backward: dx[n,oh,ow,c] = dy[n, indices[n,oh,ow,c], c]
//
// All tensors are [N,H,W,C] in f32, f64 (on the CPU) or bf16 (on a GPU) and may have any pixel stride.
// Errors: Error(usage).
#pragma once

#include <string>

#include "core/tensor.h"
#include "kernels/common/pool2d.h"

namespace atrous::kernels {

// Fills y and, if it is defined, `indices`. Without indices it is faster.
void max_pool2d_forward(const Tensor& x, const Pool2dOptions& options, const Tensor& y,
                        const Tensor& indices = {});
// dx: shape of the pooled input. `indices` must come from the forward pass of the same problem.
void max_pool2d_backward(const Tensor& dy, const Tensor& indices, const Pool2dOptions& options,
                         const Tensor& dx);

// y: [N, any H, any W, C]; every index must lie in [0, H*W). Another one is an error on the CPU, left out on
// a GPU (0 in the backward pass).
void max_unpool2d_forward(const Tensor& x, const Tensor& indices, const Tensor& y);
void max_unpool2d_backward(const Tensor& dy, const Tensor& indices, const Tensor& dx);

struct MaxUnpool2dProblem {
  Shape pooled;  // shape of x and indices
  Shape full;    // shape of y
  DType dtype = DType::f32;
  std::string str() const;
};

}  // namespace atrous::kernels
