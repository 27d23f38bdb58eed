// exp() as straight-line arithmetic, for loops that the compiler vectorises and for vector types
// (kernels/common/lanes.h).
//
//   x = n ln2 + r,  |r| <= ln2/2,   exp(x) = 2^n (1 + r + r^2 q(r))
//
// q is a minimax fit of degree 4 (relative error of the whole 3.1e-9), so rounding dominates: at most 2 ulp
// with or without fused multiply-add. Below -87.3 the result stays at 1.2e-38 instead of going through
// denormals to 0; above 88.3 it is infinity (exp overflows at 88.7). NaN gives NaN.
#pragma once

#include <cstdint>

namespace atrous::kernels {

// Types::F: float or a vector of float; Types::U: uint32_t or a vector of as many uint32_t. (Vector types
// themselves lose their attributes as template arguments.)
template <class Types>
[[gnu::always_inline]] inline void exp_in_place(typename Types::F& x) {
  using F = typename Types::F;
  using U = typename Types::U;
  constexpr float log2e = 0x1.715476p+0f;
  constexpr float ln2_high = 0x1.62e4p-1f;  // 15 bits: n * ln2_high is exact
  constexpr float ln2_low = 0x1.7f7d1cp-20f;
  // Adding 1.5 * 2^23 rounds to an integer, which is then in the low bits of the sum.
  constexpr float magic = 0x1.8p23f;
  const F low = F{} - 87.3f;  // a scalar or all lanes of a vector
  const F high = F{} + 88.4f;
  const auto vanishes = x < low;  // comparisons with NaN are false: it passes through
  x = x > high ? high : x;
  const F shifted = x * log2e + magic;
  const F n = shifted - magic;
  F r = x - n * ln2_high;
  r = r - n * ln2_low;
  F q = r * 0x1.6a2254p-10f + 0x1.123b04p-7f;
  q = q * r + 0x1.5558f8p-5f;
  q = q * r + 0x1.555490p-3f;
  q = q * r + 0x1.fffffcp-2f;
  const F mantissa = q * (r * r) + r + 1.0f;
  const U power = (__builtin_bit_cast(U, shifted) + 127u) << 23;
  x = vanishes ? F{} : mantissa * __builtin_bit_cast(F, power);
}

struct ScalarExp {
  using F = float;
  using U = uint32_t;
};

[[gnu::always_inline]] inline float exp_approx(float x) {
  exp_in_place<ScalarExp>(x);
  return x;
}

// Natural logarithm of a positive normal number, at most 2 ulp; for sums of exponentials, which are in [1,
// classes]. Inline, since a call would spill all vector registers. x = 2^e (1 + f) with 1 + f in [sqrt(1/2),
// sqrt(2)); minimax fit of degree 7 (relative error 5.8e-9). NaN gives NaN.
[[gnu::always_inline]] inline float log_approx(float x) {
  constexpr uint32_t root_half = 0x3f3504f3u;
  const uint32_t bits = __builtin_bit_cast(uint32_t, x);
  const int32_t e = static_cast<int32_t>(bits - root_half) >> 23;
  const float f = __builtin_bit_cast(float, bits - (static_cast<uint32_t>(e) << 23)) - 1.0f;
  float q = f * -0x1.38c166p-4f + 0x1.05648cp-3f;
  q = q * f - 0x1.0d8760p-3f;
  q = q * f + 0x1.22d90cp-3f;
  q = q * f - 0x1.5471f4p-3f;
  q = q * f + 0x1.99a010p-3f;
  q = q * f - 0x1.000228p-2f;
  q = q * f + 0x1.555554p-2f;
  const float n = static_cast<float>(e);
  const float result = (q * f * (f * f) + n * 0x1.7f7d1cp-20f) - 0.5f * (f * f) + f + n * 0x1.62e4p-1f;
  return x == x ? result : x;
}

}  // namespace atrous::kernels
