// Gaussian sum over all pixels of an image, per channel: the spatial kernel of a dense CRF.
//
//   y_i = after_i * sum over j of exp(-|p_i - p_j|^2 / (2 sigma^2)) * before_j * x_j
//
// p: column and row of a pixel. Not normalised, j = i counts, pixels outside of the image are 0. The weight
// is a product of one factor per axis, so two passes of 2 radius + 1 taps do it. Self-adjoint: the gradient
// of x is the same sum over dy with before and after exchanged.
//
// The radius is the smallest for which the taps beyond it weigh less than 2^-24 of all taps together, which
// is below the resolution of f32. For sigma = 3 it is 16.
#pragma once

#include <string>
#include <vector>

#include "core/tensor.h"

namespace atrous::kernels {

struct GaussianFilterProblem {
  int64_t batch = 0, height = 0, width = 0, channels = 0;
  double sigma = 0;
  DType dtype = DType::f32;
  double flops() const;     // of one pass along each axis; a multiply and an add count as two
  std::string str() const;  // "n1 h48 w48 c21 sigma 3 f32"
};

// x: [N, H, W, C], f32, f64 (CPU) or bf16 (a device), any pixel stride. before, after: one factor per pixel,
// [N, H, W] or any shape of as many elements, of the type of x; undefined: 1. The result is contiguous,
// written into `out` if given. Errors (usage): other shapes and types, sigma not above 0.
Tensor gaussian_filter(const Tensor& x, double sigma, const Tensor& before = {}, const Tensor& after = {},
                       Tensor out = {});

// Weights of the taps at distance 0, 1, ..., radius along an axis where no two pixels are more than
// `farthest` apart.
std::vector<double> gaussian_taps(double sigma, int64_t farthest);

}  // namespace atrous::kernels
