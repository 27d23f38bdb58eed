// Overlaps of one box with a run of boxes on the CPU, several at once.
#pragma once

#include <cstdint>

#include "kernels/common/box_math.h"

namespace atrous::kernels {

// A run of boxes, each coordinate in a separate array, so that neighbours fill a vector register.
struct BoxRun {
  static constexpr int64_t most = 1024;
  int64_t count = 0;
  float x1[most], y1[most], x2[most], y2[most], area[most];

  // Boxes [begin, begin + n) of a list; n <= most.
  void load(const float* boxes, int64_t begin, int64_t n);
  void push_back(const Box& b);
  Box operator[](int64_t i) const { return {x1[i], y1[i], x2[i], y2[i]}; }
};

// iou[i] = iou_of(box, run[i]), bit-identical.
void overlaps(const Box& box, const BoxRun& run, float* iou);

// Whether any box of the run overlaps `box` by more than `threshold`.
bool overlaps_any(const Box& box, const BoxRun& run, float threshold);

}  // namespace atrous::kernels
