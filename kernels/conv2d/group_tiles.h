// The inner loops of grouped convolution on CPUs: a vector holds the channels of several groups (grouped.h),
// and a permutation brings to each lane the channel of its group that it is multiplied by.
//
// Both tiles are in group_tiles.inc, which is compiled for each instruction set beside tiles.inc.
#pragma once

#include <cstdint>

namespace atrous::kernels {

// Up to most_joined_taps taps that read neighbouring pixels share what is loaded and permuted.
inline constexpr int64_t most_joined_taps = 3;

// Results of a row of pixels, one vector of channels:
//
//   result[q][lane] = start[lane] + sum over runs, their taps s and channels j of
//                     x[q*step + s][index[j][lane]] * w[s][j][lane]
struct GroupTile {
  struct Run {
    const float* x;  // the first result's pixel under the first tap
    const float* w;  // [taps][channels_in][lanes]
    int64_t taps;    // 1 unless step is 1 or 2
  };
  const Run* runs;
  int64_t run_count;
  int64_t step, x_stride;  // pixels from result to result, and floats from pixel to pixel of x
  int64_t channels_in;     // of a group
  const int32_t* index;    // [channels_in][lanes]
  const float* start;
  float* y;
  int64_t y_stride;
  int64_t channels;  // lanes to store
};

// Gradient of the filter, one vector of channels of x:
//
//   dw[s][j][lane] += sum over runs and pixels q of x[q*step + s][lane] * dy[q][index[j][lane]]
struct GroupWeightTile {
  struct Run {
    const float *x, *dy;
    int64_t pixels;
  };
  const Run* runs;
  int64_t run_count;
  int64_t x_step, x_stride;  // floats from result to result, and from tap to tap
  int64_t dy_stride;
  int64_t dy_channels;   // that may be read, at most lanes
  const int32_t* index;  // [channels][lanes], the rows of the call's channels
  float* dw;             // [taps][dw_tap / lanes][lanes]
  int64_t dw_tap;        // floats from tap to tap
};

struct GroupKernels {
  int64_t lanes;
  int64_t max_pixels;    // of a GroupTile
  int64_t max_channels;  // j of a GroupWeightTile
  void (*forward)(const GroupTile&, int64_t pixels);
  void (*weight)(const GroupWeightTile&, int64_t taps, int64_t channels);
};

const GroupKernels& group_kernels_avx2();
const GroupKernels& group_kernels_avx512();

}  // namespace atrous::kernels
