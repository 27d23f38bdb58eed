// Layer normalisation (Ba, Kiros, Hinton, "Layer normalization", 2016) over the last axis of [..., C]: every
// pixel is normalised by its own mean and biased variance.
//
//   y = (x - mean) * invstd * gamma + beta,   invstd = 1 / sqrt(var + eps)
//
// Backward, with h = gamma dy and xhat = (x - mean) * invstd:
//
//   dx = invstd * (h - mean_c(h) - xhat mean_c(h xhat)),   dgamma = sum dy xhat,   dbeta = sum dy   (over
//   pixels)
//
// Activations are f32 or f64 on the CPU, f32 or bf16 on a GPU, of any pixel stride; parameters and statistics
// are dense, of the same dtype or f32 with bf16.
#pragma once

#include <string>

#include "core/tensor.h"

namespace atrous::kernels {

struct LayerNormProblem {
  Shape shape;
  DType dtype = DType::f32;
  double eps = 1e-5;
  std::string str() const;  // "f32 [2, 8, 8, 16]"
};

// Writes y, and mean and invstd ([pixels]) for backward. gamma and beta are [C].
void layer_norm_forward(const Tensor& x, const Tensor& gamma, const Tensor& beta, double eps, const Tensor& y,
                        const Tensor& mean, const Tensor& invstd);

void layer_norm_backward(const Tensor& x, const Tensor& dy, const Tensor& mean, const Tensor& invstd,
                         const Tensor& gamma, const Tensor& dx, const Tensor& dgamma, const Tensor& dbeta);

}  // namespace atrous::kernels
