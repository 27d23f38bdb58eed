// The gradient of a filter in the domain of Winograd F(4x4, 3x3) with AVX-512.
#include <immintrin.h>

#include "kernels/conv2d/winograd.h"

namespace atrous::kernels::winograd {
namespace {

// A applied to four values.
inline void gradient_1d(const __m512 d[4], __m512 out[6]) {
  const __m512 two = _mm512_set1_ps(2), four = _mm512_set1_ps(4), eight = _mm512_set1_ps(8);
  const __m512 even = _mm512_add_ps(d[0], d[2]), odd = _mm512_add_ps(d[1], d[3]);
  const __m512 even2 = _mm512_fmadd_ps(four, d[2], d[0]);
  const __m512 odd2 = _mm512_fmadd_ps(eight, d[3], _mm512_mul_ps(two, d[1]));
  out[0] = d[0];
  out[1] = _mm512_add_ps(even, odd);
  out[2] = _mm512_sub_ps(even, odd);
  out[3] = _mm512_add_ps(even2, odd2);
  out[4] = _mm512_sub_ps(even2, odd2);
  out[5] = d[3];
}

// G^T applied to six values.
inline void filter_gradient_1d(const __m512 m[6], __m512 out[3]) {
  const __m512 sixth = _mm512_set1_ps(1.0f / 6), quarter = _mm512_set1_ps(0.25f);
  const __m512 twelfth = _mm512_set1_ps(1.0f / 12), small = _mm512_set1_ps(1.0f / 24);
  const __m512 s12 = _mm512_mul_ps(sixth, _mm512_add_ps(m[1], m[2]));
  const __m512 d21 = _mm512_mul_ps(sixth, _mm512_sub_ps(m[2], m[1]));
  const __m512 s34 = _mm512_add_ps(m[3], m[4]), d34 = _mm512_sub_ps(m[3], m[4]);
  out[0] = _mm512_fmadd_ps(quarter, m[0], _mm512_fmsub_ps(small, s34, s12));
  out[1] = _mm512_fmadd_ps(twelfth, d34, d21);
  out[2] = _mm512_add_ps(_mm512_fmsub_ps(sixth, s34, s12), m[5]);
}

int64_t smaller(int64_t a, int64_t b) {
  return a < b ? a : b;
}

}  // namespace

void transform_gradient_avx512(const Map& dy, int64_t image, int64_t top, int64_t left, float* d,
                               int64_t element_stride) {
  const int64_t rows = smaller(4, (dy.h - top + dy.step_h - 1) / dy.step_h);
  const int64_t columns = smaller(4, (dy.w - left + dy.step_w - 1) / dy.step_w);
  const float* base = dy.data + ((image * dy.h + top) * dy.w + left) * dy.stride;
  for (int64_t k = 0; k < dy.channels; k += lanes) {
    __m512 half[6][4];
    for (int64_t j = 0; j < 4; ++j) {
      __m512 column[4], out[6];
      for (int64_t i = 0; i < 4; ++i) {
        const bool inside = i < rows && j < columns;
        const int64_t pixel = i * dy.step_h * dy.w + j * dy.step_w;
        column[i] = inside ? _mm512_loadu_ps(base + pixel * dy.stride + k) : _mm512_setzero_ps();
      }
      gradient_1d(column, out);
      for (int i = 0; i < 6; ++i) half[i][j] = out[i];
    }
    for (int64_t i = 0; i < 6; ++i) {
      __m512 out[6];
      gradient_1d(half[i], out);
      for (int64_t j = 0; j < 6; ++j) _mm512_storeu_ps(d + (i * 6 + j) * element_stride + k, out[j]);
    }
  }
}

void inverse_transform_filter_avx512(const float* du, int64_t element_stride, int64_t c_count, float* dw,
                                     int64_t tap_stride) {
  for (int64_t c = 0; c < c_count; c += lanes) {
    __m512 half[3][6];
    for (int64_t j = 0; j < 6; ++j) {
      __m512 column[6], out[3];
      for (int64_t i = 0; i < 6; ++i) column[i] = _mm512_loadu_ps(du + (i * 6 + j) * element_stride + c);
      filter_gradient_1d(column, out);
      for (int i = 0; i < 3; ++i) half[i][j] = out[i];
    }
    for (int64_t r = 0; r < 3; ++r) {
      __m512 out[3];
      filter_gradient_1d(half[r], out);
      for (int64_t s = 0; s < 3; ++s) _mm512_storeu_ps(dw + (r * 3 + s) * tap_stride + c, out[s]);
    }
  }
}

}  // namespace atrous::kernels::winograd
