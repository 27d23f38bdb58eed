// Sums over taps in L-wide vectors. Included by files that are compiled per instruction set.
//
// A row of W pixels with C channels is W * C floats; a tap is the same row at another offset. So vectors may
// cross the border of pixels, and no lane is idle whatever C is.
#pragma once

#include "kernels/gaussian_filter/gaussian_filter_impl.h"
#include "kernels/lattice_filter/lattice_rows.h"

namespace atrous::kernels::gaussian_filter_impl {
namespace {

// Sums in flight: enough to hide the latency of a multiply-add.
inline constexpr int in_flight = 8;

// A strip of `wide` vectors of rows h .. h + count - 1, which share nearly all that they read.
template <int L, int wide, int count>
[[gnu::always_inline]] inline void column_strip(const Taps& taps, const ColumnRun& r, int64_t i, int64_t h,
                                                float* to, int64_t to_pitch) {
  using V = Lanes<L>;
  const int64_t first = h > taps.radius ? h - taps.radius : 0;
  const int64_t end = h + count + taps.radius < r.height ? h + count + taps.radius : r.height;
  typename V::F sum[count][wide]{};
  int64_t slot = first % r.ring;
  for (int64_t j = first; j < end; ++j) {
    const float* from = r.rows + slot * r.pitch + i;
    for (int n = 0; n < count; ++n) {
      const float weight = taps.weight[j < h + n ? h + n - j : j - h - n];
      for (int s = 0; s < wide; ++s) sum[n][s] += weight * V::load(from + s * L);
    }
    if (++slot == r.ring) slot = 0;
  }
  for (int n = 0; n < count; ++n) {
    for (int s = 0; s < wide; ++s) V::store(to + n * to_pitch + i + s * L, sum[n][s]);
  }
}

// Strip by strip, so that what the rows of [begin, end) share is read from the nearest cache.
template <int L>
void columns(const Taps& taps, const ColumnRun& r, int64_t begin, int64_t end, float* to, int64_t to_pitch) {
  constexpr int wide = L == 16 ? 8 : 4;  // two rows of sums fill half the registers
  for (int64_t i = 0; i < r.pitch; i += wide * L) {
    int64_t h = begin;
    for (; h + 1 < end; h += 2)
      column_strip<L, wide, 2>(taps, r, i, h, to + (h - begin) * to_pitch, to_pitch);
    if (h < end) column_strip<L, wide, 1>(taps, r, i, h, to + (h - begin) * to_pitch, to_pitch);
  }
}

template <int L>
void row(const Taps& taps, const float* from, int64_t step, float* to, int64_t length) {
  using V = Lanes<L>;
  for (int64_t i = 0; i < length; i += in_flight * L) {
    typename V::F sum[in_flight]{};
    for (int64_t k = -taps.radius; k <= taps.radius; ++k) {
      const float weight = taps.weight[k < 0 ? -k : k];
      for (int s = 0; s < in_flight; ++s) sum[s] += weight * V::load(from + i + k * step + s * L);
    }
    if (length - i >= in_flight * L) {
      for (int s = 0; s < in_flight; ++s) V::store(to + i + s * L, sum[s]);
    } else {
      __builtin_memcpy(to + i, sum, static_cast<size_t>(length - i) * sizeof(float));
    }
  }
}

template <int L>
void scale(const float* from, int64_t from_stride, const float* factor, float* to, int64_t pixels,
           int channels) {
  for_column_blocks<L>(channels, [&]<class R>(R, int first, int tail) {
    for (int64_t p = 0; p < pixels; ++p) {
      R x;
      x.load_tail(from + p * from_stride + first, tail);
      if (factor) x.multiply(factor[p]);
      x.store_tail(to + p * channels + first, tail);
    }
  });
}

template <int L>
constexpr Runs runs{in_flight * L, columns<L>, row<L>, scale<L>};

}  // namespace
}  // namespace atrous::kernels::gaussian_filter_impl
