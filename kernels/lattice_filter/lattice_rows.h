// Rows of channels in vectors, and rows read from a lattice; for files that are compiled per instruction set
// (kernels/common/lanes.h says why everything is in an unnamed namespace).
#pragma once

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#include "kernels/common/lanes.h"

namespace atrous::kernels {
namespace {

// The first n lanes of a vector; nothing behind them is touched. Loads fill up with 0.
template <int L>
struct Part {
  using F = typename Lanes<L>::F;
  static F load(const float* p, int n) {
    float rest[L] = {};
    for (int i = 0; i < n; ++i) rest[i] = p[i];
    return Lanes<L>::load(rest);
  }
  static void store(float* p, const F& v, int n) {
    for (int i = 0; i < n; ++i) p[i] = v[i];
  }
};
#if defined(__AVX512F__)
template <>
struct Part<8> {
  using F = Lanes<8>::F;
  static __mmask8 mask(int n) { return static_cast<__mmask8>((1u << n) - 1); }
  static F load(const float* p, int n) { return _mm256_maskz_loadu_ps(mask(n), p); }
  static void store(float* p, const F& v, int n) { _mm256_mask_storeu_ps(p, mask(n), v); }
};
template <>
struct Part<16> {
  using F = Lanes<16>::F;
  static __mmask16 mask(int n) { return static_cast<__mmask16>((1u << n) - 1); }
  static F load(const float* p, int n) { return _mm512_maskz_loadu_ps(mask(n), p); }
  static void store(float* p, const F& v, int n) { _mm512_mask_storeu_ps(p, mask(n), v); }
};
#elif defined(__AVX2__)
template <>
struct Part<8> {
  using F = Lanes<8>::F;
  static __m256i mask(int n) { return (__m256i)(Lanes<8>::iota() < n); }
  static F load(const float* p, int n) { return _mm256_maskload_ps(p, mask(n)); }
  static void store(float* p, const F& v, int n) { _mm256_maskstore_ps(p, mask(n), v); }
};
#endif

// NV vectors of L floats, and half a vector if `half`: rows of a lattice's vertices are padded to 8 floats,
// not to 16. `tail` is how many lanes of the last one belong to the row.
template <int L, int NV, bool half>
struct Row {
  using V = Lanes<L>;
  using H = Lanes<half ? L / 2 : L>;
  static constexpr int width = NV * L + (half ? L / 2 : 0);
  typename V::F v[NV ? NV : 1]{};
  typename H::F h{};

  // Rows with as many floats as the vectors have.
  [[gnu::always_inline]] void load(const float* p) {
    for (int i = 0; i < NV; ++i) v[i] = V::load(p + i * L);
    if constexpr (half) h = H::load(p + NV * L);
  }
  [[gnu::always_inline]] void store(float* p) const {
    for (int i = 0; i < NV; ++i) V::store(p + i * L, v[i]);
    if constexpr (half) H::store(p + NV * L, h);
  }
  // Other rows.
  [[gnu::always_inline]] void load_tail(const float* p, int tail) {
    constexpr int whole = half ? NV : NV - 1;
    for (int i = 0; i < whole; ++i) v[i] = V::load(p + i * L);
    if constexpr (half) {
      h = Part<L / 2>::load(p + whole * L, tail);
    } else {
      v[whole] = Part<L>::load(p + whole * L, tail);
    }
  }
  [[gnu::always_inline]] void store_tail(float* p, int tail) const {
    constexpr int whole = half ? NV : NV - 1;
    for (int i = 0; i < whole; ++i) V::store(p + i * L, v[i]);
    if constexpr (half) {
      Part<L / 2>::store(p + whole * L, h, tail);
    } else {
      Part<L>::store(p + whole * L, v[whole], tail);
    }
  }
  [[gnu::always_inline]] void add(float factor, const Row& other) {
    for (int i = 0; i < NV; ++i) v[i] += factor * other.v[i];
    if constexpr (half) h += factor * other.h;
  }
  [[gnu::always_inline]] void subtract_product(const Row& a, const Row& b) {
    for (int i = 0; i < NV; ++i) v[i] -= a.v[i] * b.v[i];
    if constexpr (half) h -= a.h * b.h;
  }
  [[gnu::always_inline]] float max() const {
    if constexpr (NV == 0) return H::max_of(h)[0];
    typename V::F m = v[0];
    for (int i = 1; i < NV; ++i) m = v[i] > m ? v[i] : m;
    if constexpr (!half) return V::max_of(m)[0];
    typename H::F low, high;
    halves(m, low, high);
    low = low > high ? low : high;
    return H::max_of(low > h ? low : h)[0];
  }
  // Replaces x by exp(x - max); returns the sum.
  [[gnu::always_inline]] float exponentials(float max) {
    typename V::F s{};
    for (int i = 0; i < NV; ++i) s += v[i] = V::exp(v[i] - max);
    if constexpr (!half) return V::sum_of(s)[0];
    h = H::exp(h - max);
    typename H::F low, high;
    halves(s, low, high);
    return H::sum_of(low + high + h)[0];
  }
  static void halves(const typename V::F& x, typename H::F& low, typename H::F& high) {
    __builtin_memcpy(&low, &x, sizeof low);
    __builtin_memcpy(&high, reinterpret_cast<const char*>(&x) + (half ? sizeof low : 0), sizeof high);
  }
  [[gnu::always_inline]] void multiply(float factor) {
    for (int i = 0; i < NV; ++i) v[i] *= factor;
    if constexpr (half) h *= factor;
  }
};

template <class R>
[[gnu::always_inline]] inline void prefetch_row(const float* p) {
  for (int i = 0; i < R::width; i += 16) __builtin_prefetch(p + i);
}

// f(corners) with a constant for the usual two and five features, so that loops over corners unroll.
template <int value>
struct Constant {
  constexpr operator int() const { return value; }
};
template <class F>
[[gnu::always_inline]] inline void with_corners(int corners, F&& f) {
  if (corners == 6) return f(Constant<6>());
  if (corners == 3) return f(Constant<3>());
  f(corners);
}

// The sum of the rows of a point's vertices, times their weights; without the factor of a slice. v: the first
// channel of the block in vertex 0. Points below `end` follow.
template <class R, class Corners>
[[gnu::always_inline]] inline R sliced(const int32_t* vertex, const float* weight, Corners corners,
                                       const float* v, int64_t v_stride, int64_t point, int64_t end,
                                       int tail) {
  constexpr int64_t ahead = 6;
  const int32_t* own = vertex + point * corners;
  const float* factor = weight + point * corners;
  const int32_t* later = point + ahead < end ? own + ahead * corners : own;
  R sum, row;
  for (int k = 0; k < corners; ++k) {
    prefetch_row<R>(v + later[k] * v_stride);
    row.load_tail(v + own[k] * v_stride, tail);
    sum.add(factor[k], row);
  }
  return sum;
}

// f(row, first channel, tail) for blocks of at most 4 vectors that cover the channels: `row` is a Row.
template <int L, class F>
[[gnu::always_inline]] inline void for_column_blocks(int channels, F&& f) {
  for (int first = 0; first < channels; first += 4 * L) {
    const int rest = channels - first < 4 * L ? channels - first : 4 * L;
    const bool half = L == 16 && (rest - 1) % L < L / 2;
    const int whole = (rest + (half ? 0 : L - 1)) / L;
    const int tail = rest - (half ? whole : whole - 1) * L;
    if constexpr (L == 16) {
      if (half) {
        if (whole == 0) f(Row<L, 0, true>(), first, tail);
        if (whole == 1) f(Row<L, 1, true>(), first, tail);
        if (whole == 2) f(Row<L, 2, true>(), first, tail);
        if (whole == 3) f(Row<L, 3, true>(), first, tail);
        continue;
      }
    }
    if (whole == 1) f(Row<L, 1, false>(), first, tail);
    if (whole == 2) f(Row<L, 2, false>(), first, tail);
    if (whole == 3) f(Row<L, 3, false>(), first, tail);
    if (whole == 4) f(Row<L, 4, false>(), first, tail);
  }
}

}  // namespace
}  // namespace atrous::kernels
