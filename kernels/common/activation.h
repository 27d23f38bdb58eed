// Activations that kernels can apply to their output, so that no separate pass is needed.
//
// Only those whose derivative follows from the output: backward then keeps y and needs no input.
#pragma once

#include "core/host_device.h"

namespace atrous::kernels {

enum class Activation : unsigned char { none, relu, relu6 };

constexpr const char* name_of(Activation a) {
  switch (a) {
    case Activation::none: return "none";
    case Activation::relu: return "relu";
    case Activation::relu6: return "relu6";
  }
  return "?";
}

// Comparisons are written so that NaN passes through: a diverged run must show NaN, not zeros.
template <Activation A, class T>
ATROUS_HD constexpr T activate(T v) {
  if constexpr (A != Activation::none) v = v < T(0) ? T(0) : v;
  if constexpr (A == Activation::relu6) v = v > T(6) ? T(6) : v;
  return v;
}

template <class T>
ATROUS_HD constexpr T activate(Activation a, T v) {
  return a == Activation::relu6  ? activate<Activation::relu6>(v)
         : a == Activation::relu ? activate<Activation::relu>(v)
                                 : v;
}

// The gradient that passes through an activation whose output was y.
template <Activation A, class T>
ATROUS_HD constexpr T activation_gradient(T y, T dy) {
  if constexpr (A == Activation::relu) return y > T(0) ? dy : T(0);
  if constexpr (A == Activation::relu6) return y > T(0) && y < T(6) ? dy : T(0);
  return dy;
}

template <class T>
ATROUS_HD constexpr T activation_gradient(Activation a, T y, T dy) {
  return a == Activation::relu6  ? activation_gradient<Activation::relu6>(y, dy)
         : a == Activation::relu ? activation_gradient<Activation::relu>(y, dy)
                                 : dy;
}

}  // namespace atrous::kernels
