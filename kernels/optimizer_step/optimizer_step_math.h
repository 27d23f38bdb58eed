// The update of one element of a parameter. The order of operations is PyTorch's.
//
//   sgd      g += wd p;  b = momentum b + g;  p -= lr (nesterov ? g + momentum b : b)
//   adam     g += wd p;  m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g^2;
//            p -= lr / (1 - b1^t) * m / (sqrt(v) / sqrt(1 - b2^t) + eps)
//   adamw    p *= 1 - lr wd, then adam without wd
//   rmsprop  g += wd p;  s = alpha s + (1 - alpha) g^2;  b = momentum b + g / (sqrt(s) + eps);  p -= lr b
//   average  p += lr (g - p): a running average of weights; "gradient" is what it moves towards
#pragma once

#include <cmath>
#include <cstdint>

#include "core/host_device.h"

namespace atrous::kernels {

// Constants of an element's update, in f32 as in PyTorch's kernels. Passed to GPU kernels by value.
struct OptimizerCoefficients {
  float lr = 0, weight_decay = 0, momentum = 0, beta1 = 0, beta2 = 0, eps = 0, alpha = 0;
  float gradient_scale = 1;                    // clipping
  float rest1 = 0, rest2 = 0, rest_alpha = 0;  // 1 - beta1, ...: rounded once, since 1 - 0.999f is not 0.001f
  float correction1 = 0, correction2 = 1;      // adam: lr / (1 - b1^t) and sqrt(1 - b2^t)
  float shrink = 1;                            // adamw: factor on the parameter before the step
  bool nesterov = false;
};

// Each rule has: the number of moments, and update(parameter, gradient, moments). T: float, or double in the
// reference. Moments that a rule lacks are not touched.
namespace optimizer_rules {

using Coefficients = OptimizerCoefficients;

struct PlainSgd {
  static constexpr int moments = 0;
  template <class T>
  ATROUS_HD static inline void update(T& p, T gradient, T&, T&, const Coefficients& c) {
    p -= c.lr * (gradient * c.gradient_scale + c.weight_decay * p);
  }
};

struct Sgd {
  static constexpr int moments = 1;
  template <class T>
  ATROUS_HD static inline void update(T& p, T gradient, T& buffer, T&, const Coefficients& c) {
    const T g = gradient * c.gradient_scale + c.weight_decay * p;
    buffer = c.momentum * buffer + g;
    p -= c.lr * (c.nesterov ? g + c.momentum * buffer : buffer);
  }
};

struct Adam {
  static constexpr int moments = 2;
  template <class T>
  ATROUS_HD static inline void update(T& p, T gradient, T& m, T& v, const Coefficients& c) {
    const T old = p * c.shrink;
    const T g = gradient * c.gradient_scale + c.weight_decay * old;
    m = c.beta1 * m + c.rest1 * g;
    v = c.beta2 * v + c.rest2 * g * g;
    p = old - c.correction1 * m / (std::sqrt(v) / c.correction2 + c.eps);
  }
};

struct RmsProp {
  static constexpr int moments = 2;
  template <class T>
  ATROUS_HD static inline void update(T& p, T gradient, T& square, T& buffer, const Coefficients& c) {
    const T g = gradient * c.gradient_scale + c.weight_decay * p;
    square = c.alpha * square + c.rest_alpha * g * g;
    buffer = c.momentum * buffer + g / (std::sqrt(square) + c.eps);
    p -= c.lr * buffer;
  }
};

struct Average {
  static constexpr int moments = 0;
  template <class T>
  ATROUS_HD static inline void update(T& p, T target, T&, T&, const Coefficients& c) {
    p += c.lr * (target - p);
  }
};

}  // namespace optimizer_rules
}  // namespace atrous::kernels
