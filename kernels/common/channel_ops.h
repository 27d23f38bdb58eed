// Passes over activations with one parameter per channel, shared by batch norm, group norm, bias gradients
// and squeeze-and-excitation. f32, multi-threaded, bound by memory.
//
// A tensor is [images, ..., C]; parameters and results are [images, C], so images == 1 means one set for the
// whole batch. Sums are taken over fixed blocks of pixels, f32 within a short run and f64 beyond, and merged
// in block order: bit-identical on any number of threads.
//
// Any C runs at full vector width: neighbouring pixels of dense tensors are treated as one wide pixel whose
// parameters repeat.
#pragma once

#include "core/tensor.h"
#include "kernels/common/activation.h"

namespace atrous::kernels {

// mean, and m2 = sum of (x - mean)^2, over the pixels of each image. One read of x. Sums are shifted by a
// local mean (no cancellation when |mean| >> deviation) and merged as in Chan, Golub, LeVeque, "Updating
// formulae and a pairwise algorithm for computing sample variances", 1979, eq. 2.1.
void channel_moments(const Tensor& x, int64_t images, double* mean, double* m2);

// y = act((x - mean) * scale + shift + residual). `residual` may be undefined; y may be x or residual.
void channel_affine(const Tensor& x, int64_t images, const float* mean, const float* scale,
                    const float* shift, const Tensor& residual, Activation activation, const Tensor& y);

// The activation that a gradient passes through. Its mask is computed from the output y, or, with `scale`,
// from x as channel_affine computed it without a residual: then y is not read.
struct ChannelActivation {
  Activation kind = Activation::none;
  Tensor y;
  const float* scale = nullptr;
  const float* shift = nullptr;
};

// g is dy through the activation:
//   sum_g = sum g,  sum_gx = sum g * (x - mean)
// x (then sum_gx is not written), mean (then 0) and g_out are optional; g_out may be dy.
void channel_gradient_sums(const Tensor& dy, const ChannelActivation& activation, const Tensor& x,
                           int64_t images, const float* mean, double* sum_g, double* sum_gx,
                           const Tensor& g_out);

// dx = a * g + b * (x - mean) + c, the gradient of every normalisation. x may be undefined: then dx = a * g.
// dx may be dy.
void channel_gradient_input(const Tensor& dy, const ChannelActivation& activation, const Tensor& x,
                            int64_t images, const float* mean, const float* a, const float* b, const float* c,
                            const Tensor& dx);

}  // namespace atrous::kernels
