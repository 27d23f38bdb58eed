// The formulas of the pointwise ops, shared by reference, CPU and CUDA.
//
// A unary op has value(x, a, b) and gradient(v, dy, a, b), where v is what `keeps` says: the input, the
// output or nothing. a and b are its parameters (most have none). Keeping the output is preferred: the next
// op needs it anyway, and the op can then work in place. Comparisons let NaN through, so that a diverged run
// shows. A binary op has value(x, z) and the gradients dx(x, z, dy), dz(x, z, dy).
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <type_traits>

#include "core/host_device.h"

#define ATROUS_POINTWISE \
  template <class T>     \
  ATROUS_HD static inline T

namespace atrous::kernels::pointwise {

enum class Keeps { nothing, input, output };

// e^x. In f32: e^x = 2^n e^r with |r| <= ln(2)/2 and a Taylor polynomial (next term below 6e-9); no branches
// and no calls, so that loops vectorise. Within 2 ulp of the true value; correct at overflow, underflow and
// NaN.
template <class T>
ATROUS_HD inline T exp_of(T x) {
  if constexpr (!std::is_same_v<T, float>) {
    return std::exp(x);
  } else {
    constexpr float round_magic = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer in the low bits
    float t = x < -104.0f ? -104.0f : x;
    t = t > 89.0f ? 89.0f : t;
    const float shifted = t * 1.44269504f + round_magic;
    const float n = shifted - round_magic;
    const int32_t exponent = std::bit_cast<int32_t>(shifted) - std::bit_cast<int32_t>(round_magic);
    const float r =
        (t - n * 0.693359375f) + n * 2.12194440e-4f;  // ln 2 in two parts; the first times n is exact
    float p = 1.0f / 5040;
    p = p * r + 1.0f / 720;
    p = p * r + 1.0f / 120;
    p = p * r + 1.0f / 24;
    p = p * r + 1.0f / 6;
    p = p * r + 0.5f;
    p = (p * r) * r + r + 1.0f;
    // Two factors, because 2^n itself may overflow or be subnormal. Unsigned: n is anything if x is NaN.
    const uint32_t half = static_cast<uint32_t>(exponent >> 1);
    const uint32_t rest = static_cast<uint32_t>(exponent) - half;
    return p * std::bit_cast<float>((half + 127u) << 23) * std::bit_cast<float>((rest + 127u) << 23);
  }
}

template <class T>
ATROUS_HD inline T clamp_of(T x, T low, T high) {
  x = x < low ? low : x;
  return x > high ? high : x;
}

template <class T>
ATROUS_HD inline T sigmoid_of(T x) {
  return T(1) / (T(1) + exp_of(-x));
}

// ---- unary ----

struct relu {
  static constexpr Keeps keeps = Keeps::output;
  ATROUS_POINTWISE value(T x, T, T) { return x < T(0) ? T(0) : x; }
  ATROUS_POINTWISE gradient(T y, T dy, T, T) { return y > T(0) ? dy : T(0); }
};

struct relu6 {
  static constexpr Keeps keeps = Keeps::output;
  ATROUS_POINTWISE value(T x, T, T) { return clamp_of(x, T(0), T(6)); }
  ATROUS_POINTWISE gradient(T y, T dy, T, T) { return ((y > T(0)) & (y < T(6))) ? dy : T(0); }
};

// x if x >= 0, else a x, with a >= 0 (so that the output shows the side)
struct leaky_relu {
  static constexpr Keeps keeps = Keeps::output;
  ATROUS_POINTWISE value(T x, T a, T) { return x < T(0) ? a * x : x; }
  ATROUS_POINTWISE gradient(T y, T dy, T a, T) { return y > T(0) ? dy : a * dy; }
};

struct sigmoid {
  static constexpr Keeps keeps = Keeps::output;
  ATROUS_POINTWISE value(T x, T, T) { return sigmoid_of(x); }
  ATROUS_POINTWISE gradient(T y, T dy, T, T) { return dy * y * (T(1) - y); }
};

struct tanh {
  static constexpr Keeps keeps = Keeps::output;
  ATROUS_POINTWISE value(T x, T, T) {
    if constexpr (!std::is_same_v<T, float>) {
      return std::tanh(x);
    } else {
      // The quotient loses relative precision near 0; there the Taylor series (next term 9e-9 of x) is
      // used.
      const float s = x * x;
      const float series =
          x + x * s * (-1.0f / 3 + s * (2.0f / 15 + s * (-17.0f / 315 + s * (62.0f / 2835))));
      const float quotient = 1.0f - 2.0f / (exp_of(2.0f * x) + 1.0f);
      return s < 0.0625f ? series : quotient;
    }
  }
  ATROUS_POINTWISE gradient(T y, T dy, T, T) { return dy * (T(1) - y * y); }
};

// log(1 + e^x), without overflow
struct softplus {
  static constexpr Keeps keeps = Keeps::input;
  ATROUS_POINTWISE value(T x, T, T) { return (x < T(0) ? T(0) : x) + std::log1p(std::exp(-std::abs(x))); }
  ATROUS_POINTWISE gradient(T x, T dy, T, T) { return dy * sigmoid_of(x); }
};

// x Phi(x) with the exact normal distribution function (Hendrycks, Gimpel, "Gaussian error linear units",
// 2016)
struct gelu {
  static constexpr Keeps keeps = Keeps::input;
  ATROUS_POINTWISE phi(T x) { return T(0.5) * std::erfc(x * T(-0.70710678118654752440)); }
  ATROUS_POINTWISE value(T x, T, T) { return x * phi(x); }
  ATROUS_POINTWISE gradient(T x, T dy, T, T) {
    return dy * (phi(x) + x * T(0.39894228040143267794) * exp_of(T(-0.5) * x * x));
  }
};

// x sigmoid(x)
struct silu {
  static constexpr Keeps keeps = Keeps::input;
  ATROUS_POINTWISE value(T x, T, T) { return x * sigmoid_of(x); }
  ATROUS_POINTWISE gradient(T x, T dy, T, T) {
    const T s = sigmoid_of(x);
    return dy * s * (T(1) + x * (T(1) - s));
  }
};

// relu6(x + 3) / 6 (Howard et al., "Searching for MobileNetV3", 2019, section 5.2)
struct hard_sigmoid {
  static constexpr Keeps keeps = Keeps::output;
  ATROUS_POINTWISE value(T x, T, T) { return clamp_of(x + T(3), T(0), T(6)) / T(6); }
  ATROUS_POINTWISE gradient(T y, T dy, T, T) { return ((y > T(0)) & (y < T(1))) ? dy / T(6) : T(0); }
};

// x hard_sigmoid(x)
struct hard_swish {
  static constexpr Keeps keeps = Keeps::input;
  ATROUS_POINTWISE value(T x, T, T) { return x * clamp_of(x + T(3), T(0), T(6)) / T(6); }
  ATROUS_POINTWISE gradient(T x, T dy, T, T) {
    const T inside = dy * (T(2) * x + T(3)) / T(6);
    return x <= T(-3) ? T(0) : x >= T(3) ? dy : inside;
  }
};

struct exp {
  static constexpr Keeps keeps = Keeps::output;
  ATROUS_POINTWISE value(T x, T, T) { return exp_of(x); }
  ATROUS_POINTWISE gradient(T y, T dy, T, T) { return dy * y; }
};

struct log {
  static constexpr Keeps keeps = Keeps::input;
  ATROUS_POINTWISE value(T x, T, T) { return std::log(x); }
  ATROUS_POINTWISE gradient(T x, T dy, T, T) { return dy / x; }
};

struct sqrt {
  static constexpr Keeps keeps = Keeps::output;
  ATROUS_POINTWISE value(T x, T, T) { return std::sqrt(x); }
  ATROUS_POINTWISE gradient(T y, T dy, T, T) { return T(0.5) * dy / y; }
};

struct neg {
  static constexpr Keeps keeps = Keeps::nothing;
  ATROUS_POINTWISE value(T x, T, T) { return -x; }
  ATROUS_POINTWISE gradient(T, T dy, T, T) { return -dy; }
};

struct abs {
  static constexpr Keeps keeps = Keeps::input;
  ATROUS_POINTWISE value(T x, T, T) { return std::abs(x); }
  ATROUS_POINTWISE gradient(T x, T dy, T, T) { return x > T(0) ? dy : x < T(0) ? -dy : T(0); }
};

struct square {
  static constexpr Keeps keeps = Keeps::input;
  ATROUS_POINTWISE value(T x, T, T) { return x * x; }
  ATROUS_POINTWISE gradient(T x, T dy, T, T) { return T(2) * x * dy; }
};

// a x + b
struct scale {
  static constexpr Keeps keeps = Keeps::nothing;
  ATROUS_POINTWISE value(T x, T a, T b) { return a * x + b; }
  ATROUS_POINTWISE gradient(T, T dy, T a, T) { return a * dy; }
};

// ---- binary ----

struct add {
  ATROUS_POINTWISE value(T x, T z) { return x + z; }
  ATROUS_POINTWISE dx(T, T, T dy) { return dy; }
  ATROUS_POINTWISE dz(T, T, T dy) { return dy; }
};

struct sub {
  ATROUS_POINTWISE value(T x, T z) { return x - z; }
  ATROUS_POINTWISE dx(T, T, T dy) { return dy; }
  ATROUS_POINTWISE dz(T, T, T dy) { return -dy; }
};

struct mul {
  ATROUS_POINTWISE value(T x, T z) { return x * z; }
  ATROUS_POINTWISE dx(T, T z, T dy) { return dy * z; }
  ATROUS_POINTWISE dz(T x, T, T dy) { return dy * x; }
};

struct div {
  ATROUS_POINTWISE value(T x, T z) { return x / z; }
  ATROUS_POINTWISE dx(T, T z, T dy) { return dy / z; }
  ATROUS_POINTWISE dz(T x, T z, T dy) { return -dy * x / (z * z); }
};

// At a tie each side gets half, so that max(x, x) has the gradient of x.
struct maximum {
  ATROUS_POINTWISE value(T x, T z) { return x < z || z != z ? z : x; }
  ATROUS_POINTWISE dx(T x, T z, T dy) { return x > z ? dy : x == z ? T(0.5) * dy : T(0); }
  ATROUS_POINTWISE dz(T x, T z, T dy) { return z > x ? dy : x == z ? T(0.5) * dy : T(0); }
};

struct minimum {
  ATROUS_POINTWISE value(T x, T z) { return x > z || z != z ? z : x; }
  ATROUS_POINTWISE dx(T x, T z, T dy) { return x < z ? dy : x == z ? T(0.5) * dy : T(0); }
  ATROUS_POINTWISE dz(T x, T z, T dy) { return z < x ? dy : x == z ? T(0.5) * dy : T(0); }
};

}  // namespace atrous::kernels::pointwise

#undef ATROUS_POINTWISE
