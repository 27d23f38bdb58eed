// Winograd F(4x4, 3x3) and F(2x2, 3x3) with AVX-512: 16 channels per register everywhere.
#include <immintrin.h>

#include "kernels/conv2d/winograd.h"

namespace atrous::kernels::winograd {
namespace {

// The one-dimensional transforms; in two dimensions they run over columns, then over rows.
struct F4 {
  static constexpr const char* name = "winograd_f4";
  static constexpr int output = 4, tile = 6;

  // B^T
  static void input(const __m512 d[6], __m512 out[6]) {
    const __m512 two = _mm512_set1_ps(2), four = _mm512_set1_ps(4), five = _mm512_set1_ps(5);
    const __m512 a = _mm512_fnmadd_ps(four, d[2], d[4]);             // d4 - 4 d2
    const __m512 b = _mm512_fnmadd_ps(four, d[1], d[3]);             // d3 - 4 d1
    const __m512 c = _mm512_sub_ps(d[4], d[2]);                      // d4 - d2
    const __m512 e = _mm512_mul_ps(two, _mm512_sub_ps(d[3], d[1]));  // 2 (d3 - d1)
    out[0] = _mm512_fmadd_ps(four, d[0], _mm512_fnmadd_ps(five, d[2], d[4]));
    out[1] = _mm512_add_ps(a, b);
    out[2] = _mm512_sub_ps(a, b);
    out[3] = _mm512_add_ps(c, e);
    out[4] = _mm512_sub_ps(c, e);
    out[5] = _mm512_fmadd_ps(four, d[1], _mm512_fnmadd_ps(five, d[3], d[5]));
  }
  // A^T
  static void result(const __m512 m[6], __m512 out[4]) {
    const __m512 two = _mm512_set1_ps(2), four = _mm512_set1_ps(4), eight = _mm512_set1_ps(8);
    const __m512 s12 = _mm512_add_ps(m[1], m[2]), d12 = _mm512_sub_ps(m[1], m[2]);
    const __m512 s34 = _mm512_add_ps(m[3], m[4]), d34 = _mm512_sub_ps(m[3], m[4]);
    out[0] = _mm512_add_ps(_mm512_add_ps(m[0], s12), s34);
    out[1] = _mm512_fmadd_ps(two, d34, d12);
    out[2] = _mm512_fmadd_ps(four, s34, s12);
    out[3] = _mm512_add_ps(_mm512_fmadd_ps(eight, d34, d12), m[5]);
  }
  // G
  static void filter(const __m512 g[3], __m512 out[6]) {
    const __m512 sixth = _mm512_set1_ps(1.0f / 6), quarter = _mm512_set1_ps(0.25f);
    const __m512 twelfth = _mm512_set1_ps(1.0f / 12), small = _mm512_set1_ps(1.0f / 24);
    const __m512 even = _mm512_mul_ps(sixth, _mm512_add_ps(g[0], g[2]));
    const __m512 odd = _mm512_mul_ps(sixth, g[1]);
    const __m512 even2 = _mm512_fmadd_ps(small, g[0], _mm512_mul_ps(sixth, g[2]));
    const __m512 odd2 = _mm512_mul_ps(twelfth, g[1]);
    out[0] = _mm512_mul_ps(quarter, g[0]);
    out[1] = _mm512_sub_ps(_mm512_setzero_ps(), _mm512_add_ps(even, odd));
    out[2] = _mm512_sub_ps(odd, even);
    out[3] = _mm512_add_ps(even2, odd2);
    out[4] = _mm512_sub_ps(even2, odd2);
    out[5] = g[2];
  }
};

struct F2 {
  static constexpr const char* name = "winograd_f2";
  static constexpr int output = 2, tile = 4;

  static void input(const __m512 d[4], __m512 out[4]) {
    out[0] = _mm512_sub_ps(d[0], d[2]);
    out[1] = _mm512_add_ps(d[1], d[2]);
    out[2] = _mm512_sub_ps(d[2], d[1]);
    out[3] = _mm512_sub_ps(d[1], d[3]);
  }
  static void result(const __m512 m[4], __m512 out[2]) {
    out[0] = _mm512_add_ps(m[0], _mm512_add_ps(m[1], m[2]));
    out[1] = _mm512_sub_ps(_mm512_sub_ps(m[1], m[2]), m[3]);
  }
  static void filter(const __m512 g[3], __m512 out[4]) {
    const __m512 half = _mm512_set1_ps(0.5f);
    const __m512 even = _mm512_mul_ps(half, _mm512_add_ps(g[0], g[2])), odd = _mm512_mul_ps(half, g[1]);
    out[0] = g[0];
    out[1] = _mm512_add_ps(even, odd);
    out[2] = _mm512_sub_ps(even, odd);
    out[3] = g[2];
  }
};

void add_to_doubles(double* to, __m512 values) {
  const __m512d low = _mm512_cvtps_pd(_mm512_castps512_ps256(values));
  const __m512d high = _mm512_cvtps_pd(_mm512_extractf32x8_ps(values, 1));
  _mm512_storeu_pd(to, _mm512_add_pd(_mm512_loadu_pd(to), low));
  _mm512_storeu_pd(to + 8, _mm512_add_pd(_mm512_loadu_pd(to + 8), high));
}

template <class F>
void transform_input(const Map& x, const ReadFusion& prologue, int64_t image, int64_t top, int64_t left,
                     float* v, int64_t element_stride) {
  constexpr int T = F::tile;
  const bool interior =
      top >= 0 && left >= 0 && top + (T - 1) * x.step_h < x.h && left + (T - 1) * x.step_w < x.w;
  const float* base = x.data + ((image * x.h + top) * x.w + left) * x.stride;
  for (int64_t c = 0; c < x.channels; c += lanes) {
    __m512 rows[T][T];
#pragma GCC unroll 6
    for (int64_t j = 0; j < T; ++j) {
      __m512 d[T], column[T];
#pragma GCC unroll 6
      for (int64_t i = 0; i < T; ++i) {
        const int64_t h = i * x.step_h, w = j * x.step_w;
        d[i] = _mm512_setzero_ps();
        if (interior || (top + h >= 0 && top + h < x.h && left + w >= 0 && left + w < x.w)) {
          d[i] = _mm512_loadu_ps(base + (h * x.w + w) * x.stride + c);
          if (prologue.scale) {
            d[i] = _mm512_fmadd_ps(d[i], _mm512_loadu_ps(prologue.scale + c),
                                   _mm512_loadu_ps(prologue.bias + c));
          }
          if (prologue.relu) d[i] = _mm512_max_ps(_mm512_setzero_ps(), d[i]);
        }
      }
      F::input(d, column);
      for (int i = 0; i < T; ++i) rows[i][j] = column[i];
    }
    for (int64_t i = 0; i < T; ++i) {
      __m512 out[T];
      F::input(rows[i], out);
      for (int64_t j = 0; j < T; ++j) _mm512_storeu_ps(v + (i * T + j) * element_stride + c, out[j]);
    }
  }
}

int64_t smaller(int64_t a, int64_t b) {
  return a < b ? a : b;
}

template <class F>
void transform_output(const float* m, int64_t element_stride, const WriteFusion& epilogue, int64_t image,
                      int64_t top, int64_t left, const Map& y) {
  constexpr int T = F::tile, M = F::output;
  const int64_t rows = smaller(M, (y.h - top + y.step_h - 1) / y.step_h);
  const int64_t columns = smaller(M, (y.w - left + y.step_w - 1) / y.step_w);
  const int64_t pixel = (image * y.h + top) * y.w + left;
  float* const output = const_cast<float*>(y.data);
  for (int64_t k = 0; k < y.channels; k += lanes) {
    __m512 half[M][T];
    for (int64_t j = 0; j < T; ++j) {
      __m512 column[T], out[M];
      for (int64_t i = 0; i < T; ++i) column[i] = _mm512_loadu_ps(m + (i * T + j) * element_stride + k);
      F::result(column, out);
      for (int i = 0; i < M; ++i) half[i][j] = out[i];
    }
    const __m512 bias = epilogue.bias ? _mm512_loadu_ps(epilogue.bias + k) : _mm512_setzero_ps();
    __m512 sum = _mm512_setzero_ps(), squares = _mm512_setzero_ps();
    for (int64_t i = 0; i < rows; ++i) {
      __m512 out[M];
      F::result(half[i], out);
      for (int64_t j = 0; j < columns; ++j) {
        __m512 z = _mm512_add_ps(out[j], bias);
        sum = _mm512_add_ps(sum, z);
        squares = _mm512_fmadd_ps(z, z, squares);
        const int64_t at = pixel + i * y.step_h * y.w + j * y.step_w;
        if (epilogue.residual)
          z = _mm512_add_ps(z, _mm512_loadu_ps(epilogue.residual + at * epilogue.residual_stride + k));
        if (epilogue.relu) z = _mm512_max_ps(_mm512_setzero_ps(), z);
        _mm512_storeu_ps(output + at * y.stride + k, z);
      }
    }
    if (epilogue.sums) {
      add_to_doubles(epilogue.sums + k, sum);
      add_to_doubles(epilogue.squares + k, squares);
    }
  }
}

// rows[i] lane j -> rows[j] lane i.
void transpose(__m512 rows[16]) {
  __m512 t[16];
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) {  // pairs of lanes of neighbouring rows
    t[2 * i] = _mm512_unpacklo_ps(rows[2 * i], rows[2 * i + 1]);
    t[2 * i + 1] = _mm512_unpackhi_ps(rows[2 * i], rows[2 * i + 1]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {  // fours
    const auto pd = [&](int j) { return _mm512_castps_pd(t[4 * i + j]); };
    rows[4 * i] = _mm512_castpd_ps(_mm512_unpacklo_pd(pd(0), pd(2)));
    rows[4 * i + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(pd(0), pd(2)));
    rows[4 * i + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(pd(1), pd(3)));
    rows[4 * i + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(pd(1), pd(3)));
  }
#pragma GCC unroll 4
  for (int j = 0; j < 4; ++j) {  // 4x4 blocks of 128 bits, in two rounds
    const __m512 a = _mm512_shuffle_f32x4(rows[j], rows[4 + j], 0x88);
    const __m512 b = _mm512_shuffle_f32x4(rows[j], rows[4 + j], 0xdd);
    const __m512 c = _mm512_shuffle_f32x4(rows[8 + j], rows[12 + j], 0x88);
    const __m512 d = _mm512_shuffle_f32x4(rows[8 + j], rows[12 + j], 0xdd);
    t[j] = _mm512_shuffle_f32x4(a, c, 0x88);
    t[4 + j] = _mm512_shuffle_f32x4(b, d, 0x88);
    t[8 + j] = _mm512_shuffle_f32x4(a, c, 0xdd);
    t[12 + j] = _mm512_shuffle_f32x4(b, d, 0xdd);
  }
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i) rows[i] = t[i];
}

// g[tap][c][16 output channels] of a filter [K][3][3][c_count]; w: at its first output and input channel.
void load_taps(const float* w, int64_t c_count, float* g) {
  for (int64_t tap = 0; tap < 9; ++tap) {
    __m512 rows[16];
    for (int64_t k = 0; k < lanes; ++k) rows[k] = _mm512_loadu_ps(w + (k * 9 + tap) * c_count);
    transpose(rows);
    for (int64_t c = 0; c < lanes; ++c) _mm512_store_ps(g + (tap * lanes + c) * lanes, rows[c]);
  }
}

// The same for a filter [c_count][3][3][k_count] turned by 180 degrees.
void load_turned_taps(const float* w, int64_t k_count, float* g) {
  for (int64_t c = 0; c < lanes; ++c) {
    for (int64_t tap = 0; tap < 9; ++tap)
      _mm512_store_ps(g + (tap * lanes + c) * lanes, _mm512_loadu_ps(w + (c * 9 + 8 - tap) * k_count));
  }
}

template <class F>
void transform_filter(const float* w, bool turned, int64_t k_count, int64_t c_count, int64_t k, int64_t width,
                      float* u, int64_t element_stride) {
  constexpr int T = F::tile;
  alignas(64) float taps[9 * lanes * lanes];
  const int64_t row = turned ? k_count : c_count;
  const auto at = [&](int64_t c, int64_t j) {
    return turned ? w + c * 9 * row + k + j : w + (k + j) * 9 * row + c;
  };
  for (int64_t block = 0; block < c_count; block += lanes) {
    for (int64_t j = 0; j < width; j += lanes) {
      (turned ? load_turned_taps : load_taps)(at(block, j), row, taps);
      const float* const next = j + lanes < width ? at(block, j + lanes) : at(block + lanes, 0);
      for (int64_t c = 0; c < lanes; ++c) {
        // The lines of the next block lie in 144 places, too many for the hardware prefetcher to follow.
        for (int64_t tap = 0; tap < 9; ++tap) _mm_prefetch(next + (c * 9 + tap) * row, _MM_HINT_T0);
        __m512 half[T][3];
        for (int s = 0; s < 3; ++s) {
          __m512 column[3], out[T];
          for (int r = 0; r < 3; ++r) column[r] = _mm512_load_ps(taps + ((r * 3 + s) * lanes + c) * lanes);
          F::filter(column, out);
          for (int i = 0; i < T; ++i) half[i][s] = out[i];
        }
        for (int64_t i = 0; i < T; ++i) {
          __m512 out[T];
          F::filter(half[i], out);
          for (int64_t e = 0; e < T; ++e)
            _mm512_storeu_ps(u + (i * T + e) * element_stride + (block + c) * width + j, out[e]);
        }
      }
    }
  }
}

template <class F>
const Steps& steps() {
  static const Steps table{
      F::name, F::output, F::tile * F::tile, transform_input<F>, transform_filter<F>, transform_output<F>};
  return table;
}

}  // namespace

const Steps& steps_f4_avx512() {
  return steps<F4>();
}
const Steps& steps_f2_avx512() {
  return steps<F2>();
}

}  // namespace atrous::kernels::winograd
