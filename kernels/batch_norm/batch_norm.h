// Batch normalisation (Ioffe, Szegedy, "Batch normalization", 2015, algorithm 1) of activations [..., C], per
// channel c over the M pixels of the whole batch:
//
//   mean = 1/M sum x,   var = 1/M sum (x - mean)^2,   invstd = 1 / sqrt(var + eps)
//   y = act((x - mean) * invstd * gamma + beta + residual)
//
// Backward, with g = dy through the activation (its mask computed from y) and xhat = (x - mean) * invstd:
//
//   dbeta = sum g,   dgamma = sum g * xhat,   dresidual = g
//   dx = gamma * invstd * (g - dbeta/M - xhat * dgamma/M)      training
//   dx = gamma * invstd * g                                    mean and var are constants (evaluation,
//   frozen)
//
// Forward is two passes over x (one if var is known), backward two over x, dy and perhaps y. All tensors may
// be pixel-strided and lie on one device. x, y, dy, dx, residual share shape and dtype (f32 or f64 on the
// CPU, f32 or bf16 on a GPU); parameters, statistics and their gradients are dense [C] of that dtype, f32
// with bf16.
#pragma once

#include <string>

#include "core/tensor.h"
#include "kernels/common/activation.h"

namespace atrous::kernels {

struct BatchNormProblem {
  Shape shape;
  DType dtype = DType::f32;
  Activation activation = Activation::none;
  bool residual = false;
  std::string str() const;  // "f32 [2, 8, 8, 16] relu residual"
};

// Writes mean and biased variance.
void batch_norm_statistics(const Tensor& x, const Tensor& mean, const Tensor& variance);
// The same from `sums` [2, C] = (sum x, sum x^2), f32 or f64, which a convolution can collect while it writes
// x. E[x^2] - mean^2 cancels: where |mean| is k deviations, the variance has k^2 times the error of the sums.
void batch_norm_statistics_from_sums(const Tensor& sums, int64_t count, const Tensor& mean,
                                     const Tensor& variance);

// running = (1 - momentum) * running + momentum * batch, with the unbiased variance var * M / (M - 1).
void batch_norm_update_running(const Tensor& mean, const Tensor& variance, int64_t count, double momentum,
                               const Tensor& running_mean, const Tensor& running_var);

// 1 / sqrt(variance + eps), in the given dtype, on the device of the variance.
Tensor batch_norm_invstd(const Tensor& variance, double eps, DType dtype);

// y as above. `residual` may be undefined.
void batch_norm_apply(const Tensor& x, const Tensor& mean, const Tensor& invstd, const Tensor& gamma,
                      const Tensor& beta, const Tensor& residual, Activation activation, const Tensor& y);

// What backward must know of apply. Without beta an implementation must compute the activation's mask from
// y; with it no residual was added, and the mask may be computed from x instead, which saves reading y.
struct BatchNormApplied {
  Tensor mean, invstd, gamma;
  Tensor beta;
  Activation activation = Activation::none;
};

// Writes dgamma and dbeta, and g to dresidual if that is defined; dresidual may be dy. y is read only if
// there is an activation.
void batch_norm_backward_sums(const Tensor& x, const Tensor& y, const Tensor& dy,
                              const BatchNormApplied& applied, const Tensor& dgamma, const Tensor& dbeta,
                              const Tensor& dresidual);

// Writes dx, which may be dy. With dgamma and dbeta the gradient of training; undefined, that of constant
// statistics (x is not read, and may be undefined).
void batch_norm_backward_input(const Tensor& x, const Tensor& y, const Tensor& dy,
                               const BatchNormApplied& applied, const Tensor& dgamma, const Tensor& dbeta,
                               const Tensor& dx);

// Batch norm with constant statistics behind a convolution is one convolution:
//
//   norm(w * x + b) = w' * x + b'     w'_k = s_k w_k,   b'_k = s_k b_k + beta_k - s_k mean_k
//
// with s = gamma / sqrt(variance + eps). For inference, where the result in between is not needed.
struct BatchNormConstants {
  Tensor gamma, beta, mean, variance;  // [K], of the filter's dtype
  double eps = 1e-5;
};
struct FoldedFilter {
  Tensor weight;  // [K, R, S, C] of the activations' dtype
  Tensor bias;    // [K] of the filter's dtype
};
// filter [K, R, S, C] in f32 (f64 on the CPU), bias [K] or undefined. `dtype` is that of the activations.
FoldedFilter batch_norm_fold(const Tensor& filter, const Tensor& bias, const BatchNormConstants& constants,
                             DType dtype);

}  // namespace atrous::kernels
