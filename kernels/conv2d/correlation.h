// One driver for the forward pass and the input gradient: correlations of a grid of pixels with lists of
// taps.
//
//   y[n, p, q, k] = bias[k] + sum_{taps t, c} x[n, p*step_h + t.h, q*step_w + t.w, c] * weights[t][c][k]
//
// The forward pass has taps (r*dilation - pad, ...). The input gradient of stride 1 has the taps (pad -
// r*dilation, ...) and the transposed filter; of stride s it falls into s*s such correlations ("phases"),
// each writing every s-th row and column. All phases are computed together, a few pixels of x at a time:
// what they read is then in the first-level cache, and the rows that they write between them are completed
// while they are there too.
#pragma once

#include <string>
#include <vector>

#include "kernels/conv2d/kept_filters.h"
#include "kernels/conv2d/pack.h"
#include "kernels/conv2d/rows.h"
#include "kernels/conv2d/tiles.h"

namespace atrous::kernels {

// Outputs (p, q) for p < rows, q < columns; they begin `offset` floats behind y.
struct Phase {
  int64_t rows = 1, columns = 1, offset = 0;
  std::vector<Tap> taps;  // any order; without any, outputs are the bias
};

struct Correlation {
  int64_t images = 1;
  Grid x;
  int64_t c = 1;
  Prologue prologue;
  int64_t step_h = 1, step_w = 1;
  std::vector<Phase> phases;
  FilterView filter{};

  // Where the packed filter is, or goes, under this name. Null: packed for this call.
  KeptFilters* kept = nullptr;
  std::string kept_name;

  int64_t k = 1;
  float* y = nullptr;
  int64_t y_image = 0, y_row = 0, y_column = 0;  // floats between neighbours of a phase
  const float* bias = nullptr;

  // After the sums, in this order; see Conv2dFusion. With one phase only.
  double* sums = nullptr;  // [k] sums, then [k] sums of squares sums_stride later
  int64_t sums_stride = 0;
  const float* residual = nullptr;  // dense rows and images
  int64_t residual_stride = 0;      // between pixels
  bool relu = false;
};

void correlate(Correlation problem, const TileKernels& kernels);

}  // namespace atrous::kernels
