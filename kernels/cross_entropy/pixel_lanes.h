// Cross-entropy of one pixel whose logits are held in vectors; the inner part of cross_entropy and
// resize_cross_entropy. Included by files that are compiled per instruction set (see kernels/common/lanes.h).
#pragma once

#include <cmath>

#include "kernels/common/lanes.h"

namespace atrous::kernels {
namespace {

// NV: vectors per pixel, known at compile time so that they stay in registers; 0: their number is `vectors`.
template <int L, int NV, int most = 64>
struct PixelLogits {
  using V = Lanes<L>;
  typename V::F v[NV ? NV : most]{};
  const int vectors;

  explicit PixelLogits(int count) : vectors(NV ? NV : count) {}

  // The last vector may reach past the channels of its pixel. `whole`: the memory there may be
  // accessed: loads then replace its values by `filler`; stores spill into the next pixels, which must be
  // written later.
  [[gnu::always_inline]] void load(const float* from, int channels, bool whole, float filler) {
    for (int i = 0; i + 1 < vectors; ++i) v[i] = V::load(from + i * L);
    const int tail = (vectors - 1) * L;
    if (whole) {
      const typename V::I in_range = V::iota() < channels - tail;
      v[vectors - 1] = in_range ? V::load(from + tail) : V::all(filler);
    } else {
      float rest[L];
      for (int i = 0; i < L; ++i) rest[i] = tail + i < channels ? from[tail + i] : filler;
      v[vectors - 1] = V::load(rest);
    }
  }
  [[gnu::always_inline]] void store(float* to, int channels, bool whole) const {
    for (int i = 0; i + 1 < vectors; ++i) V::store(to + i * L, v[i]);
    const int tail = (vectors - 1) * L;
    if (whole) {
      V::store(to + tail, v[vectors - 1]);
    } else {
      __builtin_memcpy(to + tail, &v[vectors - 1], static_cast<size_t>(channels - tail) * sizeof(float));
    }
  }

  // Replaces the logits by exp(z - max z); lanes past the classes must hold a large negative value.
  // Returns max and sum of the exponentials.
  [[gnu::always_inline]] void exponentials(float& max, float& sum) {
    typename V::F m = v[0];
    for (int i = 1; i < vectors; ++i) m = v[i] > m ? v[i] : m;
    m = V::max_of(m);
    typename V::F s{};
    for (int i = 0; i < vectors; ++i) {
      v[i] = V::exp(v[i] - m);
      s += v[i];
    }
    sum = V::sum_of(s)[0];
    max = m[0];
  }

  // Turns exponentials into the gradient weight * (softmax - onehot(label)).
  [[gnu::always_inline]] void gradient(float weight, float sum, int32_t label) {
    gradient(weight, weight, sum, label);
  }
  // weight * softmax - hit * onehot(label).
  [[gnu::always_inline]] void gradient(float weight, float hit, float sum, int32_t label) {
    const float p = weight / sum;
    typename V::I lane = V::iota() - label;
    for (int i = 0; i < vectors; ++i) {
      v[i] = v[i] * p - (lane == 0 ? V::all(hit) : V::all(0.0f));
      lane += L;
    }
  }
};

// The focal factor, not inlined into the common case. Plain C functions: see lanes.h about shared inline
// functions.
struct FocalFloat {
  float loss;
  float gradient_factor;
};
[[gnu::noinline, maybe_unused]] inline FocalFloat focal_float(float e, float gamma) {
  const float rest = -__builtin_expm1f(-e);
  if (rest <= 0) return {0, 0};
  const float power = __builtin_powf(rest, gamma);
  return {power * e, power + gamma * (1 - rest) * power / rest * e};
}

}  // namespace
}  // namespace atrous::kernels
