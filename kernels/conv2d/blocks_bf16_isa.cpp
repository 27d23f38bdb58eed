#include <immintrin.h>

#include <algorithm>

#include "kernels/conv2d/bf16_blocks.h"
#include "kernels/conv2d/bf16_tiles.h"

namespace atrous::kernels {
namespace {

constexpr int64_t lanes = bf16_lanes;

// The first `count` of 16 lanes; none or all beyond that range.
inline __mmask16 first_lanes(int64_t count) {
  return static_cast<__mmask16>((1u << std::clamp<int64_t>(count, 0, lanes)) - 1u);
}

// 32 floats as 16 pairs of neighbours.
inline __m512i round_pairs(__m512 low, __m512 high) {
  return (__m512i)_mm512_cvtne2ps_pbh(high, low);
}

// Lane i: the pair of even[i] and odd[i].
inline __m512i interleave(__m512 even, __m512 odd) {
  const __m512i order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7,
                                         22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
  return _mm512_permutexvar_epi16(order, round_pairs(even, odd));
}

inline void transpose(__m512i (&r)[16]) {
  __m512i t[16];
#pragma GCC unroll 16
  for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
    t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
  }
  // Then r[4g + j]: column 4l + j of rows 4g to 4g + 3, in 128-bit lane l.
#pragma GCC unroll 16
  for (int i = 0; i < 16; i += 4) {
    r[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
    r[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
    r[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
    r[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
  }
#pragma GCC unroll 16
  for (int j = 0; j < 4; ++j) {
    const __m512i low01 = _mm512_shuffle_i32x4(r[j], r[4 + j], 0x44);
    const __m512i high01 = _mm512_shuffle_i32x4(r[j], r[4 + j], 0xee);
    const __m512i low23 = _mm512_shuffle_i32x4(r[8 + j], r[12 + j], 0x44);
    const __m512i high23 = _mm512_shuffle_i32x4(r[8 + j], r[12 + j], 0xee);
    r[j] = _mm512_shuffle_i32x4(low01, low23, 0x88);
    r[4 + j] = _mm512_shuffle_i32x4(low01, low23, 0xdd);
    r[8 + j] = _mm512_shuffle_i32x4(high01, high23, 0x88);
    r[12 + j] = _mm512_shuffle_i32x4(high01, high23, 0xdd);
  }
}

template <bool Scaled>
inline __m512 load_with_prologue(const float* from, int64_t c, __mmask16 mask, const Prologue& p) {
  __m512 v = _mm512_maskz_loadu_ps(mask, from + c);
  if constexpr (Scaled) {
    v = _mm512_maskz_fmadd_ps(mask, v, _mm512_maskz_loadu_ps(mask, p.scale + c),
                              _mm512_maskz_loadu_ps(mask, p.bias + c));
  }
  return p.relu ? _mm512_max_ps(_mm512_setzero_ps(), v) : v;  // in this order NaN passes
}

template <bool Scaled>
void convert_pixels(const float* from, int64_t from_stride, int64_t pixels, int64_t channels,
                    const Prologue& prologue, uint16_t* to, int64_t to_stride, int64_t width) {
  for (int64_t i = 0; i < pixels; ++i, from += from_stride, to += to_stride) {
    int64_t c = 0;
    for (; c + 32 <= channels; c += 32) {
      const __mmask16 all = 0xffff;
      _mm512_storeu_si512(to + c, round_pairs(load_with_prologue<Scaled>(from, c, all, prologue),
                                              load_with_prologue<Scaled>(from, c + lanes, all, prologue)));
    }
    for (; c < width; c += lanes) {
      const __m512 v = load_with_prologue<Scaled>(from, c, first_lanes(channels - c), prologue);
      _mm256_mask_storeu_epi16(to + c, first_lanes(width - c), (__m256i)_mm512_cvtneps_pbh(v));
    }
  }
}

inline __m512 load_row(const float* from, int64_t stride, int64_t row, bool exists, __mmask16 mask) {
  return exists ? _mm512_maskz_loadu_ps(mask, from + row * stride) : _mm512_setzero_ps();
}

}  // namespace

void pixels_to_bf16(const float* from, int64_t from_stride, int64_t pixels, int64_t channels,
                    const Prologue& prologue, uint16_t* to, int64_t to_stride, int64_t width) {
  prologue.scale ? convert_pixels<true>(from, from_stride, pixels, channels, prologue, to, to_stride, width)
                 : convert_pixels<false>(from, from_stride, pixels, channels, prologue, to, to_stride, width);
}

void block_of_columns(const float* from, int64_t stride, int64_t columns, int64_t count, uint16_t* to) {
  const __mmask16 low = first_lanes(count), high = first_lanes(count - lanes);
  __m512i r[16];
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i) {
    const float* row = from + i * stride;
    const bool exists = i < columns;
    r[i] = round_pairs(load_row(row, 0, 0, exists, low), load_row(row + lanes, 0, 0, exists, high));
  }
  transpose(r);
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i) _mm512_storeu_si512(to + i * 2 * lanes, r[i]);
}

void block_of_reduction(const float* from, int64_t stride, int64_t count, int64_t columns, uint16_t* to) {
  const __mmask16 mask = first_lanes(columns);
  for (int64_t i = 0; i < 16; ++i) {
    const __m512 even = load_row(from, stride, 2 * i, 2 * i < count, mask);
    const __m512 odd = load_row(from, stride, 2 * i + 1, 2 * i + 1 < count, mask);
    _mm512_storeu_si512(to + i * 2 * lanes, interleave(even, odd));
  }
}

void rows_transposed(const float* from, int64_t stride, int64_t first, int64_t last, int64_t columns,
                     uint16_t* to, int64_t to_stride) {
  const __mmask16 mask = first_lanes(columns);
  const auto exists = [&](int64_t i) { return i >= first && i < last; };
  __m512i r[16];
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i) {
    r[i] = interleave(load_row(from, stride, 2 * i, exists(2 * i), mask),
                      load_row(from, stride, 2 * i + 1, exists(2 * i + 1), mask));
  }
  transpose(r);
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i) _mm512_storeu_si512(to + i * to_stride, r[i]);
}

void transpose_f32(const float* from, int64_t from_stride, int64_t rows, int64_t columns, float* to,
                   int64_t to_stride) {
  __m512i r[16];
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i)
    r[i] = _mm512_castps_si512(load_row(from, from_stride, i, i < rows, first_lanes(columns)));
  transpose(r);
  const __mmask16 mask = first_lanes(rows);
#pragma GCC unroll 16
  for (int j = 0; j < 16; ++j) {
    if (j < columns) _mm512_mask_storeu_ps(to + j * to_stride, mask, _mm512_castsi512_ps(r[j]));
  }
}

void write_rows(const float* from, int64_t from_stride, int64_t rows, int64_t channels, const Bf16Output& o) {
  for (int64_t k = 0; k < channels; k += lanes) {
    const __mmask16 mask = first_lanes(channels - k);
    const __mmask8 low = static_cast<__mmask8>(mask), high = static_cast<__mmask8>(mask >> 8);
    __m512d sum[2] = {}, square[2] = {};
    for (int64_t i = 0; i < rows; ++i) {
      __m512 v = _mm512_loadu_ps(from + i * from_stride + k);
      if (o.sums) {
        const __m512d half[2] = {_mm512_cvtps_pd(_mm512_castps512_ps256(v)),
                                 _mm512_cvtps_pd(_mm512_extractf32x8_ps(v, 1))};
        for (int j = 0; j < 2; ++j) {
          sum[j] = _mm512_add_pd(sum[j], half[j]);
          square[j] = _mm512_fmadd_pd(half[j], half[j], square[j]);
        }
      }
      if (o.residual)
        v = _mm512_add_ps(v, _mm512_maskz_loadu_ps(mask, o.residual + i * o.residual_stride + k));
      if (o.relu) v = _mm512_max_ps(_mm512_setzero_ps(), v);  // in this order NaN passes
      _mm512_mask_storeu_ps(o.y + i * o.y_stride + k, mask, v);
    }
    if (!o.sums) continue;
    for (int j = 0; j < 2; ++j) {
      const __mmask8 part = j == 0 ? low : high;
      double* to[2] = {o.sums + k + 8 * j, o.squares + k + 8 * j};
      _mm512_mask_storeu_pd(to[0], part, _mm512_add_pd(_mm512_maskz_loadu_pd(part, to[0]), sum[j]));
      _mm512_mask_storeu_pd(to[1], part, _mm512_add_pd(_mm512_maskz_loadu_pd(part, to[1]), square[j]));
    }
  }
}

}  // namespace atrous::kernels
