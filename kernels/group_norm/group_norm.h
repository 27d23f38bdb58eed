// Group normalisation (Wu, He, "Group normalization", 2018, eq. 1-7) of activations [N, ..., C]: each image
// and group of C/G neighbouring channels is normalised by its own mean and biased variance, over K = pixels *
// C/G values.
//
//   y = act((x - mean) * invstd * gamma + beta),   invstd = 1 / sqrt(var + eps)
//
// Backward, with g = dy through the activation, xhat = (x - mean) * invstd, sums over the group:
//
//   dbeta = sum g,   dgamma = sum g * xhat          per channel, over all images
//   dx = invstd * (gamma g - 1/K sum gamma g - xhat/K sum gamma g xhat)
//
// Activations are f32 or f64 on the CPU, f32 or bf16 on a GPU, of any pixel stride; parameters and statistics
// are dense, of the same dtype or f32 with bf16.
//
// Statistics do not depend on the batch, so training and evaluation are the same and any batch size works.
#pragma once

#include <string>

#include "core/tensor.h"
#include "kernels/common/activation.h"

namespace atrous::kernels {

struct GroupNormProblem {
  Shape shape;
  int64_t groups = 1;
  DType dtype = DType::f32;
  Activation activation = Activation::none;
  double eps = 1e-5;
  std::string str() const;  // "f32 [2, 8, 8, 16] groups 4 relu"
};

// Writes y, and mean and invstd ([N, G]) for backward. gamma and beta are [C].
void group_norm_forward(const Tensor& x, int64_t groups, const Tensor& gamma, const Tensor& beta, double eps,
                        Activation activation, const Tensor& y, const Tensor& mean, const Tensor& invstd);

// Writes dx, dgamma, dbeta. y is read only if there is an activation.
void group_norm_backward(const Tensor& x, const Tensor& y, const Tensor& dy, const Tensor& mean,
                         const Tensor& invstd, const Tensor& gamma, Activation activation, const Tensor& dx,
                         const Tensor& dgamma, const Tensor& dbeta);

}  // namespace atrous::kernels
