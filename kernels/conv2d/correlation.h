// One driver for the forward pass and the input gradient: a correlation of a grid of pixels with a list of
// taps.
//
//   y[n, p, q, k] = bias[k] + sum_{taps t, c} x[n, p*step_h + t.h, q*step_w + t.w, c] * weights[t][c][k]
//
// The forward pass has taps (r*dilation - pad, ...). The input gradient of stride 1 has the taps (pad -
// r*dilation, ...) and the transposed filter; of stride s it falls into s*s such correlations ("phases"),
// each writing every s-th row and column.
#pragma once

#include <vector>

#include "kernels/conv2d/rows.h"
#include "kernels/conv2d/tiles.h"

namespace atrous::kernels {

struct Tap {
  int64_t h, w;   // offset of what it reads
  int64_t index;  // r*S + s: its place in the filter
};

// Output channels [first, first + channels), computed `vectors` vectors at a time.
struct Panel {
  int64_t first, channels, vectors;
  int64_t start;  // first lane, counted over all panels: where its packed weights begin
};
std::vector<Panel> split_into_panels(int64_t channels, int64_t lanes);

// Element (tap, c, k) of a filter lies at data[tap.index*tap_stride + c*c_stride + k*k_stride]; one of the
// channel strides is 1.
struct FilterView {
  const float* data;
  int64_t tap_stride, c_stride, k_stride;
};

struct Correlation {
  int64_t images = 1;
  Grid x;
  int64_t c = 1;
  Prologue prologue;
  int64_t step_h = 1, step_w = 1;
  std::vector<Tap> taps;  // any order
  FilterView filter{};

  int64_t rows = 1, columns = 1, k = 1;  // of the output
  float* y = nullptr;
  int64_t y_image = 0, y_row = 0, y_column = 0;  // floats between neighbours
  const float* bias = nullptr;

  // After the sums, in this order; see Conv2dFusion.
  double* sums = nullptr;  // [k] sums, then [k] sums of squares sums_stride later
  int64_t sums_stride = 0;
  const float* residual = nullptr;  // dense rows and images
  int64_t residual_stride = 0;      // between pixels
  bool relu = false;
};

void correlate(Correlation problem, const TileKernels& kernels);

}  // namespace atrous::kernels
