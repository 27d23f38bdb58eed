// Taps of a filter, and the runs, extents and rows that plans of convolutions on the CPU derive from them.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/conv2d/conv2d.h"

namespace atrous::kernels {

struct Tap {
  int64_t h, w;   // offset of the input that it reads
  int64_t index;  // r*S + s: its index in the filter
};

// Of the forward pass: (r*dilation_h - pad_h, s*dilation_w - pad_w), by row, then by column.
std::vector<Tap> forward_taps(const Conv2dProblem& p);

// Whether an output pixel reads the pixel of x at the same position and no other, as with a 1x1 filter of
// stride 1. It sees no rows: all pixels of all images can be one row.
bool is_pointwise(const std::vector<Tap>& taps, int64_t step_h, int64_t step_w);

// Taps of one filter row that read neighbouring pixels: one long reduction if pixels are dense.
struct TapRun {
  int64_t h, w;               // of its first tap
  int64_t first, count;       // in the sorted taps
  int64_t first_step, steps;  // of the reduction, in the order of the packed weights
};

// The runs of taps that are sorted by row, then by column, or one run for each tap if not `join`. `width`
// elements of the reduction belong to a tap and `unit` to a step; the first run begins at first_step.
std::vector<TapRun> runs_of(const std::vector<Tap>& sorted, bool join, int64_t width, int64_t unit,
                            int64_t first_step);

// The extremes of offsets; all zero without taps.
struct TapExtent {
  int64_t h_min = 0, h_max = 0, w_min = 0, w_max = 0;
};
TapExtent extent_of(const std::vector<Tap>& taps);

// Sorts, and leaves one of each value.
void sort_unique(std::vector<int64_t>& values);

// The rows of x, sorted, that `rows` rows of output read: p*step + h for each h of `heights`.
std::vector<int64_t> rows_read(int64_t rows, int64_t step, const std::vector<int64_t>& heights);

}  // namespace atrous::kernels
