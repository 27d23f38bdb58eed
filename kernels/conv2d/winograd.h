// The steps of Winograd F(MxM, 3x3) on one tile, for one instruction set. The drivers are in
// conv2d_winograd.cpp and conv2d_winograd_weight.cpp.
//
//   y  = A^T [ (G g G^T) .* (B^T d B) ] A                    forward: input tile d, MxM output tile y
//   dg = G^T [ sum over tiles (A dy A^T) .* (B^T d B) ] G    gradient of the filter
//
// (Lavin and Gray, arXiv:1509.09308; interpolation points 0, 1, -1 for M = 2, and 2, -2 for M = 4.) A
// transformed tile has (M+2)^2 elements; element e of tile t lies e*element_stride + t*channels behind its
// base. All channel counts are multiples of 16.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace atrous::kernels {
struct Conv2dProblem;
}

namespace atrous::kernels::winograd {

inline constexpr int64_t elements = 36;  // of F(4x4, 3x3)
inline constexpr int64_t lanes = 16;

// Floats between the elements of a tile, beyond those needed: transforms write or read all 36 at once, which
// with distances of 4 KiB would map to one set of the first-level cache (12 lines). An odd number of lines
// spreads them over 36 of the 64 sets.
inline constexpr int64_t skew = 3 * lanes;

// A stack of images; `stride` counts floats between pixels. The pixels of a tile lie step_h rows and step_w
// columns apart: an atrous convolution is a dense one on each of rate_h*rate_w sub-images.
struct Map {
  const float* data;
  int64_t h, w, channels, stride;
  int64_t step_h = 1, step_w = 1;
};

// The MxM tiles that cover a stack of images, in the order of image, row, column.
class Tiling {
 public:
  Tiling(int64_t images, const Map& y, int64_t m = 4);
  int64_t count() const { return images_ * rows() * columns(); }
  int64_t image(int64_t t) const { return t / (rows() * columns()); }
  int64_t top(int64_t t) const { return tops_[static_cast<size_t>(t / columns() % rows())]; }
  int64_t left(int64_t t) const { return lefts_[static_cast<size_t>(t % columns())]; }

 private:
  int64_t rows() const { return static_cast<int64_t>(tops_.size()); }
  int64_t columns() const { return static_cast<int64_t>(lefts_.size()); }

  int64_t images_;
  std::vector<int64_t> tops_, lefts_;
};

// Multiplications of the direct sums per pair of channels: taps that cover only padding are not counted.
int64_t products_inside(const Conv2dProblem& problem);

// Applied to values as they are read: x' = relu?(scale[c]*x + bias[c]); scale may be null.
struct ReadFusion {
  const float* scale;
  const float* bias;
  bool relu;
};

// Applied to values before they are written; pointers may be null. `sums` are added to.
struct WriteFusion {
  const float* bias;
  double* sums;
  double* squares;
  const float* residual;
  int64_t residual_stride;
  bool relu;
};

struct Steps {
  const char* name;
  int64_t output;    // M
  int64_t elements;  // (M+2)^2

  // v[e] = B^T d B for the tile whose input begins at (top, left), which may lie outside; outside counts as
  // zero.
  void (*transform_input)(const Map& x, const ReadFusion& prologue, int64_t image, int64_t top, int64_t left,
                          float* v, int64_t element_stride);

  // u[e][c][width] = G g G^T for output channels [k, k + width), width 16 or 32. turned = false: w is
  // [K][3][3][c_count]. turned = true: w is [c_count][3][3][K], rotated by 180 degrees on the way.
  void (*transform_filter)(const float* w, bool turned, int64_t k_count, int64_t c_count, int64_t k,
                           int64_t width, float* u, int64_t element_stride);

  // y = A^T m A, then the epilogue, for the output tile at (top, left); parts outside the map are dropped.
  void (*transform_output)(const float* m, int64_t element_stride, const WriteFusion& epilogue, int64_t image,
                           int64_t top, int64_t left, const Map& y);
};
const Steps& steps_f4_avx512();
const Steps& steps_f2_avx512();

// For the gradient of the filter, which takes transform_input of steps_f4_avx512() for x.
//
// d[e] = A dy A^T for the output tile at (top, left); outside counts as zero.
void transform_gradient_avx512(const Map& dy, int64_t image, int64_t top, int64_t left, float* d,
                               int64_t element_stride);

// dw[3][3][c_count] = G^T du G for one output channel; tap_stride floats between the taps of dw.
void inverse_transform_filter_avx512(const float* du, int64_t element_stride, int64_t c_count, float* dw,
                                     int64_t tap_stride);

}  // namespace atrous::kernels::winograd
