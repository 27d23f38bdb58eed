// Winograd F(4x4, 3x3) with AVX-512: 16 channels per register everywhere.
#include "kernels/conv2d/winograd.h"

#include <immintrin.h>

namespace atrous::kernels::winograd {
namespace {

// B^T applied to six values.
inline void input_1d(const __m512 d[6], __m512 out[6]) {
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

// A^T applied to six values.
inline void output_1d(const __m512 m[6], __m512 out[4]) {
  const __m512 two = _mm512_set1_ps(2), four = _mm512_set1_ps(4), eight = _mm512_set1_ps(8);
  const __m512 s12 = _mm512_add_ps(m[1], m[2]), d12 = _mm512_sub_ps(m[1], m[2]);
  const __m512 s34 = _mm512_add_ps(m[3], m[4]), d34 = _mm512_sub_ps(m[3], m[4]);
  out[0] = _mm512_add_ps(_mm512_add_ps(m[0], s12), s34);
  out[1] = _mm512_fmadd_ps(two, d34, d12);
  out[2] = _mm512_fmadd_ps(four, s34, s12);
  out[3] = _mm512_add_ps(_mm512_fmadd_ps(eight, d34, d12), m[5]);
}

// G applied to three values.
inline void filter_1d(const __m512 g[3], __m512 out[6]) {
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

int64_t smaller(int64_t a, int64_t b) {
  return a < b ? a : b;
}

void add_to_doubles(double* to, __m512 values) {
  const __m512d low = _mm512_cvtps_pd(_mm512_castps512_ps256(values));
  const __m512d high = _mm512_cvtps_pd(_mm512_extractf32x8_ps(values, 1));
  _mm512_storeu_pd(to, _mm512_add_pd(_mm512_loadu_pd(to), low));
  _mm512_storeu_pd(to + 8, _mm512_add_pd(_mm512_loadu_pd(to + 8), high));
}

template <int NB>
void multiply_tile(const float* v, const float* u, int64_t c_count, float* m, int64_t m_stride) {
  __m512 sum[row_block][NB];
#pragma GCC unroll 14
  for (int i = 0; i < row_block; ++i) {
#pragma GCC unroll 2
    for (int j = 0; j < NB; ++j) sum[i][j] = _mm512_setzero_ps();
  }
  for (int64_t c = 0; c < c_count; ++c) {
    __m512 right[NB];
#pragma GCC unroll 2
    for (int j = 0; j < NB; ++j) right[j] = _mm512_loadu_ps(u + (c * NB + j) * lanes);
#pragma GCC unroll 14
    for (int i = 0; i < row_block; ++i) {
      const __m512 left = _mm512_set1_ps(v[i * c_count + c]);
#pragma GCC unroll 2
      for (int j = 0; j < NB; ++j) sum[i][j] = _mm512_fmadd_ps(left, right[j], sum[i][j]);
    }
  }
#pragma GCC unroll 14
  for (int i = 0; i < row_block; ++i) {
#pragma GCC unroll 2
    for (int j = 0; j < NB; ++j) _mm512_storeu_ps(m + i * m_stride + j * lanes, sum[i][j]);
  }
}

// Output channels [k, k + 16) of a filter [K][3][3][c_count], for 16 input channels at a time. Gathering from
// the filter itself would touch 144 lines per input channel, most of them in few cache sets; from this copy,
// whose rows are an odd number of floats apart, it stays in the first-level cache.
class FilterRows {
 public:
  // w: at input channel 0 of output channel k.
  FilterRows(const float* w, int64_t c_count) : w_(w), c_count_(c_count) {}

  // The nine taps of all 16 output channels for input channel c; rising c, each.
  void load_taps(int64_t c, __m512 g[3][3]) {
    if (c % lanes == 0) copy(c);
    const __m512i index = _mm512_mullo_epi32(
        _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0), _mm512_set1_epi32(row));
    for (int64_t tap = 0; tap < 9; ++tap) {
      g[tap / 3][tap % 3] = _mm512_i32gather_ps(index, copy_ + tap * lanes * row + c % lanes, 4);
    }
  }

 private:
  static constexpr int row = lanes + 1;

  void copy(int64_t c) {
    for (int64_t k = 0; k < lanes; ++k) {
      for (int64_t tap = 0; tap < 9; ++tap) {
        _mm512_storeu_ps(copy_ + (tap * lanes + k) * row, _mm512_loadu_ps(w_ + (k * 9 + tap) * c_count_ + c));
      }
    }
  }

  const float* w_;
  int64_t c_count_;
  float copy_[9 * lanes * row];
};

// The same for one input channel of a filter [c_count][3][3][K], turned by 180 degrees. w: at its channel k.
void load_turned_taps(const float* w, int64_t k_count, __m512 g[3][3]) {
  for (int64_t r = 0; r < 3; ++r) {
    for (int64_t s = 0; s < 3; ++s) g[r][s] = _mm512_loadu_ps(w + ((2 - r) * 3 + (2 - s)) * k_count);
  }
}

}  // namespace

void transform_input_avx512(const Map& x, const ReadFusion& prologue, int64_t image, int64_t top,
                            int64_t left, float* v, int64_t element_stride) {
  const bool interior = top >= 0 && left >= 0 && top + 6 <= x.h && left + 6 <= x.w;
  const float* base = x.data + ((image * x.h + top) * x.w + left) * x.stride;
  for (int64_t c = 0; c < x.channels; c += lanes) {
    __m512 rows[6][6];
    for (int64_t j = 0; j < 6; ++j) {
      __m512 d[6], column[6];
      for (int64_t i = 0; i < 6; ++i) {
        d[i] = _mm512_setzero_ps();
        if (interior || (top + i >= 0 && top + i < x.h && left + j >= 0 && left + j < x.w)) {
          d[i] = _mm512_loadu_ps(base + (i * x.w + j) * x.stride + c);
          if (prologue.scale) {
            d[i] = _mm512_fmadd_ps(d[i], _mm512_loadu_ps(prologue.scale + c),
                                   _mm512_loadu_ps(prologue.bias + c));
          }
          if (prologue.relu) d[i] = _mm512_max_ps(_mm512_setzero_ps(), d[i]);
        }
      }
      input_1d(d, column);
      for (int i = 0; i < 6; ++i) rows[i][j] = column[i];
    }
    for (int64_t i = 0; i < 6; ++i) {
      __m512 out[6];
      input_1d(rows[i], out);
      for (int64_t j = 0; j < 6; ++j) _mm512_storeu_ps(v + (i * 6 + j) * element_stride + c, out[j]);
    }
  }
}

void transform_filter_avx512(const float* w, bool turned, int64_t k_count, int64_t c_count, int64_t k,
                             int64_t width, int64_t j, float* u, int64_t element_stride) {
  FilterRows rows(w + (turned ? 0 : (k + j) * 9 * c_count), c_count);
  for (int64_t c = 0; c < c_count; ++c) {
    __m512 g[3][3], half[6][3];
    if (turned) {
      load_turned_taps(w + c * 9 * k_count + k + j, k_count, g);
    } else {
      rows.load_taps(c, g);
    }
    for (int s = 0; s < 3; ++s) {
      const __m512 column[3] = {g[0][s], g[1][s], g[2][s]};
      __m512 out[6];
      filter_1d(column, out);
      for (int i = 0; i < 6; ++i) half[i][s] = out[i];
    }
    for (int64_t i = 0; i < 6; ++i) {
      __m512 out[6];
      filter_1d(half[i], out);
      for (int64_t e = 0; e < 6; ++e)
        _mm512_storeu_ps(u + (i * 6 + e) * element_stride + c * width + j, out[e]);
    }
  }
}

void multiply_avx512(const float* v, const float* u, int64_t c_count, int64_t width, float* m,
                     int64_t m_stride) {
  width == 2 * lanes ? multiply_tile<2>(v, u, c_count, m, m_stride)
                     : multiply_tile<1>(v, u, c_count, m, m_stride);
}

void transform_output_avx512(const float* m, int64_t element_stride, const WriteFusion& epilogue,
                             int64_t image, int64_t top, int64_t left, const Map& y) {
  const int64_t rows = smaller(4, y.h - top), columns = smaller(4, y.w - left);
  const int64_t pixel = (image * y.h + top) * y.w + left;
  float* const output = const_cast<float*>(y.data);
  for (int64_t k = 0; k < y.channels; k += lanes) {
    __m512 half[4][6];
    for (int64_t j = 0; j < 6; ++j) {
      __m512 column[6], out[4];
      for (int64_t i = 0; i < 6; ++i) column[i] = _mm512_loadu_ps(m + (i * 6 + j) * element_stride + k);
      output_1d(column, out);
      for (int i = 0; i < 4; ++i) half[i][j] = out[i];
    }
    const __m512 bias = epilogue.bias ? _mm512_loadu_ps(epilogue.bias + k) : _mm512_setzero_ps();
    __m512 sum = _mm512_setzero_ps(), squares = _mm512_setzero_ps();
    for (int64_t i = 0; i < rows; ++i) {
      __m512 out[4];
      output_1d(half[i], out);
      for (int64_t j = 0; j < columns; ++j) {
        __m512 z = _mm512_add_ps(out[j], bias);
        sum = _mm512_add_ps(sum, z);
        squares = _mm512_fmadd_ps(z, z, squares);
        const int64_t at = pixel + i * y.w + j;
        if (epilogue.residual)
          z = _mm512_add_ps(z, _mm512_loadu_ps(epilogue.residual + at * epilogue.residual_stride + k));
        if (epilogue.relu) z = _mm512_max_ps(_mm512_setzero_ps(), z);
        _mm512_storeu_ps(output + at * y.stride + k, z);
      }
    }
    if (epilogue.sums) {
      add_to_doubles(epilogue.sums + k, sum);
      add_to_doubles(epilogue.sums + y.channels + k, squares);
    }
  }
}

}  // namespace atrous::kernels::winograd
