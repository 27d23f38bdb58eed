// Which pixels the bins of RoIPool cover, along one axis. Reference, CPU and GPU kernels share these
// formulas.
//
// They are torchvision's, in single precision and in its order of operations:
//
//   start = round(low * scale), extent = max(round(high * scale) - start + 1, 1), halves rounded away from 0
//   bin p covers the pixels from start + floor(p * extent / bins) to start + ceil((p + 1) * extent / bins),
//   the latter not included, as far as they are in the map
//
// Both corners of a box count as pixels that belong to it, and neighbouring bins may share a pixel.
#pragma once

#include <cmath>
#include <cstdint>

#include "core/host_device.h"

namespace atrous::kernels {

struct RoiPoolAxis {
  float start;
  float bin;
};

struct RoiPoolBin {
  int32_t begin, end;  // empty if begin >= end
};

ATROUS_HD inline float roi_pool_extent(float low, float high, float scale) {
  const float extent = std::round(high * scale) - std::round(low * scale) + 1.0f;
  return extent < 1.0f ? 1.0f : extent;
}

ATROUS_HD inline RoiPoolAxis roi_pool_axis(float low, float high, float scale, int64_t bins) {
  return {std::round(low * scale), roi_pool_extent(low, high, scale) / static_cast<float>(bins)};
}

ATROUS_HD inline RoiPoolBin roi_pool_bin(const RoiPoolAxis& a, int64_t bin, int64_t size) {
  const float begin = std::floor(static_cast<float>(bin) * a.bin) + a.start;
  const float end = std::ceil(static_cast<float>(bin + 1) * a.bin) + a.start;
  // Comparisons are false for NaN: nothing is covered then.
  const auto limit = static_cast<float>(size);
  if (!(begin < limit && end > 0)) return {0, 0};
  return {begin > 0 ? static_cast<int32_t>(begin) : 0,
          end < limit ? static_cast<int32_t>(end) : static_cast<int32_t>(size)};
}

// False only if no bin covers a pixel in [first, last]; may be true although none does.
ATROUS_HD inline bool roi_pool_may_cover(float low, float high, float scale, int64_t first, int64_t last) {
  const float start = std::round(low * scale), extent = roi_pool_extent(low, high, scale);
  // The last bin ends at start + extent, or a pixel later where rounding carried it there.
  const float margin = 2.0f + 1e-6f * (std::fabs(start) + extent);
  return start - margin <= static_cast<float>(last) && start + extent + margin >= static_cast<float>(first);
}

}  // namespace atrous::kernels
