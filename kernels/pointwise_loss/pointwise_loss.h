// Losses that compare element by element: loss = s * sum_i f(x_i, t_i), s = 1 (sum) or 1 / n (mean; 0 for
// n = 0). The same pass computes the gradient.
//
//   binary_cross_entropy  f = max(x, 0) - x t + log(1 + exp(-|x|)),  t in [0, 1]      f' = sigmoid(x) - t
//                         which is -t log(sigmoid(x)) - (1 - t) log(1 - sigmoid(x)) without overflow
//   smooth_l1             f = d^2 / (2 beta) if |d| < beta, else |d| - beta / 2,  d = x - t
//                         f' = d / beta, else sign(d);  beta = 0 is L1, with f' = 0 at d = 0
//
// (Girshick, "Fast R-CNN", 2015, for smooth L1 with beta = 1.) The sum is in double and in a fixed order. The
// targets get no gradient.
#pragma once

#include <string>

#include "core/tensor.h"
#include "kernels/cross_entropy/cross_entropy.h"  // LossReduction

namespace atrous::kernels {

enum class PointwiseLoss : unsigned char { binary_cross_entropy, smooth_l1 };

struct PointwiseLossProblem {
  PointwiseLoss kind = PointwiseLoss::binary_cross_entropy;
  Shape shape;
  double beta = 0;   // of smooth_l1
  double scale = 1;  // s above
  DType dtype = DType::f32;
  std::string str() const;  // "smooth_l1(0.111) f32 [512, 4] scale 1"
};

struct PointwiseLossResult {
  Tensor loss;      // scalar, dtype of x (f32 for bf16)
  Tensor gradient;  // like x, contiguous; undefined unless requested

  static void each_tensor(auto& self, const auto& f) {
    f(self.loss);
    f(self.gradient);
  }
};

// x: f32, f64 or (on a device) bf16, any pixel stride; targets of its shape, f32 or f64. Error(usage):
// shapes, types, a beta that is negative or not finite.
PointwiseLossResult binary_cross_entropy_with_logits(const Tensor& x, const Tensor& targets,
                                                     LossReduction reduction, bool want_gradient);
PointwiseLossResult smooth_l1(const Tensor& x, const Tensor& targets, double beta, LossReduction reduction,
                              bool want_gradient);

}  // namespace atrous::kernels
