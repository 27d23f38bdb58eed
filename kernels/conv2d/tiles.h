// The inner loops of convolution on CPUs, one set per instruction set.
//
// A tile is a block of results held in registers: `pixels` output positions times one panel of output
// channels (forward), or `rows` output channels times a few input channels (weight gradient). Panels are two
// vectors wide, or one vector for a remainder; the register file then allows max_rows[0] or max_rows[1] rows.
#pragma once

#include <cstdint>

namespace atrous::kernels {

// A part of a reduction: `count` steps, over which a advances by a_advance and b by b_advance floats.
struct Run {
  const float* a;
  const float* b;
  int64_t count;
};

// result[i][j] = start[i*start_stride + j] + sum over runs and steps of a[i*a_stride] * b[j]
struct ForwardTile {
  const Run* runs;  // a: channels of the tile's first pixel; b: packed weights, one panel row per step
  int64_t run_count;
  int64_t a_stride;    // floats between the pixels that neighbouring results start from
  const float* start;  // the bias, with start_stride 0, in whole vectors; or earlier sums
  int64_t start_stride;
  float* y;  // first result; rows of results are y_stride apart
  int64_t y_stride;
  int64_t channels;  // results per row to store; at most the panel's width
};

// result[i][j] (+)= sum over runs and steps of a[i] * b[j]
struct WeightTile {
  const Run* runs;  // a: output gradient; b: input; one step per pixel
  int64_t run_count;
  int64_t a_advance, b_advance;  // floats per step
  float* dw;
  int64_t dw_stride;
  int64_t channels;
  bool accumulate;  // add to dw instead of overwriting it
};

struct TileKernels {
  int64_t lanes;        // floats per vector
  int64_t max_rows[2];  // for panels of two vectors and of one
  void (*forward)(const ForwardTile&, int64_t vectors, int64_t pixels);
  // b is read in whole vectors: it must be followed by readable memory.
  void (*weight)(const WeightTile&, int64_t vectors, int64_t rows);
};

const TileKernels& tile_kernels_avx2();
const TileKernels& tile_kernels_avx512();

}  // namespace atrous::kernels
