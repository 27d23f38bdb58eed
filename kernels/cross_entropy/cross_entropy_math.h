// Formulas of one pixel, shared by cross-entropy, its fused form and their references.
#pragma once

#include <cmath>

#include "core/host_device.h"

namespace atrous::kernels {

// Focal loss (Lin et al., "Focal loss for dense object detection", ICCV 2017, eq. 4) from the cross-entropy e
// = -log q of a pixel:  f = (1-q)^gamma e,   df/dz = gradient_factor * de/dz,   gradient_factor = (1-q)^gamma
// + gamma q (1-q)^(gamma-1) e.
template <class T>
struct FocalTerm {
  T loss;
  T gradient_factor;
};

template <class T>
ATROUS_HD inline FocalTerm<T> focal_term(T e, T gamma) {
  if (gamma == 0) return {e, T(1)};
  const T rest = -std::expm1(-e);  // 1 - q without cancellation
  if (rest <= 0) return {T(0), T(0)};
  const T power = std::pow(rest, gamma);
  return {power * e, power + gamma * (1 - rest) * power / rest * e};
}

}  // namespace atrous::kernels
