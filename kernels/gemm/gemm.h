// Matrix product of row-major matrices, in the three forms that a linear layer and its gradients need.
//
//   nt:  y[m,n] = sum_k a[m,k] * b[n,k] + bias[n]      linear:            x [M,I], w [O,I]  -> y  [M,O]
//   nn:  y[m,n] = sum_k a[m,k] * b[k,n] + bias[n]      input gradient:    dy [M,O], w [O,I] -> dx [M,I]
//   tn:  y[m,n] = sum_k a[k,m] * b[k,n]                weight gradient:   dy [M,O], x [M,I] -> dw [O,I]
//
// Rows may have a stride (Tensor::pixel_stride). f32, f64 and, on GPUs, bf16; the bias and the result of form
// tn are f32 with bf16. A linear layer is a 1x1 convolution, and that is how the fast CPU implementation
// computes it.
#pragma once

#include <string>

#include "core/tensor.h"
#include "kernels/common/arithmetic.h"

namespace atrous::kernels {

enum class GemmForm { nt, nn, tn };

struct GemmProblem {
  int64_t m = 1, n = 1, k = 1;
  GemmForm form = GemmForm::nt;
  DType dtype = DType::f32;
  Math math = {};

  Shape output_shape() const { return {m, n}; }
  DType output_dtype() const;  // form tn: that of a gradient of parameters
  double flops() const {
    return 2.0 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k);
  }
  double bytes() const;
  std::string str() const;  // "f32 nt m128 n64 k32"

  // Checks and reads the sizes; throws Error(usage).
  static GemmProblem make(const Shape& a, const Shape& b, GemmForm form, DType dtype, Math math = {});
};

// The product, written into `out` [M,N] if given. `bias` [N] may be undefined; form tn takes none.
Tensor gemm(const Tensor& a, const Tensor& b, GemmForm form, const Tensor& bias = {}, Tensor out = {},
            Math math = {});

}  // namespace atrous::kernels
