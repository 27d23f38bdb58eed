// The formulas of pointwise_loss.h for one element, shared by the reference, the CPU and the GPU.
#pragma once

#include <cmath>

#include "core/host_device.h"
#include "kernels/pointwise_loss/pointwise_loss.h"

namespace atrous::kernels {

template <class T>
struct ElementLoss {
  T value, slope;  // slope: derivative with respect to x
};

// One exponential serves both: with e = exp(-|x|), sigmoid(x) is 1 / (1 + e) or e / (1 + e).
template <class T>
ATROUS_HD inline ElementLoss<T> binary_cross_entropy_of(T x, T target) {
  const T e = std::exp(x < 0 ? x : -x), sigmoid = (x < 0 ? e : T(1)) / (1 + e);
  return {(x > 0 ? x : T(0)) - x * target + std::log1p(e), sigmoid - target};
}

template <class T>
ATROUS_HD inline ElementLoss<T> smooth_l1_of(T x, T target, T beta) {
  const T d = x - target, size = d < 0 ? -d : d;
  if (size < beta) return {d * d / (2 * beta), d / beta};
  // NaN compares false with 0 on both sides; its slope must not be 0.
  return {size - beta / 2, d > 0 ? T(1) : d < 0 ? T(-1) : d};
}

template <class T>
ATROUS_HD inline ElementLoss<T> element_loss(PointwiseLoss kind, T beta, T x, T target) {
  return kind == PointwiseLoss::smooth_l1 ? smooth_l1_of(x, target, beta)
                                          : binary_cross_entropy_of(x, target);
}

}  // namespace atrous::kernels
