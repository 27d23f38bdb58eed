// The steps of Winograd F(4x4, 3x3) on one tile, for one instruction set. The drivers are in
// conv2d_winograd.cpp and conv2d_winograd_weight.cpp.
//
//   y  = A^T [ (G g G^T) .* (B^T d B) ] A                    forward: 6x6 input tile d, 4x4 output tile y
//   dg = G^T [ sum over tiles (A dy A^T) .* (B^T d B) ] G    gradient of the filter
//
// (Lavin and Gray, arXiv:1509.09308, interpolation points 0, 1, -1, 2, -2.) A transformed tile has 36
// elements; element e of tile t lies e*element_stride + t*channels behind its base. All channel counts are
// multiples of 16.
#pragma once

#include <cstdint>

namespace atrous::kernels {
struct Conv2dProblem;
}

namespace atrous::kernels::winograd {

inline constexpr int64_t elements = 36;
inline constexpr int64_t lanes = 16;
inline constexpr int64_t row_block = 14;  // multiply() works on this many tiles at a time

// Floats between the elements of a tile, beyond those needed: transforms write or read all 36 at once, which
// with distances of 4 KiB would meet in one set of the first-level cache (12 lines). An odd number of lines
// spreads them over 36 of the 64 sets.
inline constexpr int64_t skew = 3 * lanes;

// A stack of images; `stride` counts floats between pixels.
struct Map {
  const float* data;
  int64_t h, w, channels, stride;
};

struct Tiling {
  int64_t images, rows, columns;  // of 4x4 tiles

  Tiling(int64_t n, int64_t out_h, int64_t out_w)
      : images(n), rows((out_h + 3) / 4), columns((out_w + 3) / 4) {}
  int64_t count() const { return images * rows * columns; }
  int64_t image(int64_t t) const { return t / (rows * columns); }
  int64_t top(int64_t t) const { return t / columns % rows * 4; }
  int64_t left(int64_t t) const { return t % columns * 4; }
};

// Why a problem cannot run in this domain at all, whatever it costs; null if it can.
const char* why_not_possible(const Conv2dProblem& problem);

// What happens to values as they are read: x' = relu?(scale[c]*x + bias[c]); scale may be null.
struct ReadFusion {
  const float* scale;
  const float* bias;
  bool relu;
};

// What happens to values before they are written; pointers may be null. sums: [2][channels].
struct WriteFusion {
  const float* bias;
  double* sums;
  const float* residual;
  int64_t residual_stride;
  bool relu;
};

// v[e] = B^T d B for the tile whose input begins at (top, left), which may lie outside; outside counts as
// zero.
void transform_input_avx512(const Map& x, const ReadFusion& prologue, int64_t image, int64_t top,
                            int64_t left, float* v, int64_t element_stride);

// u[e][c][j] = G g G^T for a panel of `width` (16 or 32) output channels starting at k, lanes [j, j + 16).
// turned = false: w is [K][3][3][c_count]. turned = true: w is [c_count][3][3][K], rotated by 180 degrees on
// the way.
void transform_filter_avx512(const float* w, bool turned, int64_t k_count, int64_t c_count, int64_t k,
                             int64_t width, int64_t j, float* u, int64_t element_stride);

// m[t][width] = sum_c v[t][c] * u[c][width] for row_block tiles; rows of m are m_stride apart.
void multiply_avx512(const float* v, const float* u, int64_t c_count, int64_t width, float* m,
                     int64_t m_stride);

// y = A^T m A, then the epilogue, for the output tile at (top, left); parts outside the map are dropped.
void transform_output_avx512(const float* m, int64_t element_stride, const WriteFusion& epilogue,
                             int64_t image, int64_t top, int64_t left, const Map& y);

// d[e] = A dy A^T for the output tile at (top, left); outside counts as zero.
void transform_gradient_avx512(const Map& dy, int64_t image, int64_t top, int64_t left, float* d,
                               int64_t element_stride);

// dw[3][3][c_count] = G^T du G for one output channel; tap_stride floats between the taps of dw.
void inverse_transform_filter_avx512(const float* du, int64_t element_stride, int64_t c_count, float* dw,
                                     int64_t tap_stride);

}  // namespace atrous::kernels::winograd
