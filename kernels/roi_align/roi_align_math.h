// Where RoIAlign samples, along one axis. roi_align and mask_targets share these formulas, on the CPU and on
// GPUs.
//
// They are torchvision's, in single precision and in its order of operations, so that the same boxes give the
// same samples. With o = 1/2 if `aligned`, else 0:
//
//   start = low * scale - o,  extent = high * scale - o - start, at least 1 unless `aligned`
//   bin   = extent / bins,    n = sampling_ratio, or ceil(bin) if that is not positive (adaptive)
//   position of sample i of bin p = start + p * bin + (i + 1/2) * bin / n
//
// A position outside [-1, size] reads nothing. Others are clamped to [0, size - 1] and read their two
// neighbours. `aligned` makes coordinate 0 the upper left corner of a pixel, as everywhere else; without it
// (the rule of the first implementations, torchvision's default) the map lies half a pixel too far.
#pragma once

#include <cmath>
#include <cstdint>

#include "core/host_device.h"
#include "kernels/common/rounded.h"

namespace atrous::kernels {

struct RoiAxis {
  float start;
  float bin;
  int32_t samples;  // per bin; 0: reads nothing
};

// Beyond this extent of an adaptive bin, samples are more than a pixel apart.
inline constexpr int32_t most_roi_samples = 1 << 22;

ATROUS_HD inline RoiAxis roi_axis(float low, float high, float scale, bool aligned, int64_t bins,
                                  int64_t sampling_ratio) {
  const float offset = aligned ? 0.5f : 0.0f;
  const float start = rounded_product(low, scale) - offset;
  float extent = rounded_product(high, scale) - offset - start;
  if (!aligned && extent < 1.0f) extent = 1.0f;
  const float bin = extent / static_cast<float>(bins);
  if (sampling_ratio > 0) return {start, bin, static_cast<int32_t>(sampling_ratio)};
  // Comparisons are false for NaN, whose conversion to an integer could be anything.
  const float wanted = std::ceil(bin);
  const auto most = static_cast<float>(most_roi_samples);
  return {start, bin, wanted > 0 ? static_cast<int32_t>(wanted < most ? wanted : most) : 0};
}

ATROUS_HD inline float roi_sample(const RoiAxis& a, int64_t bin, int32_t i) {
  return a.start + rounded_product(static_cast<float>(bin), a.bin) +
         (static_cast<float>(i) + 0.5f) * a.bin / static_cast<float>(a.samples);
}

// The taps of a sample: (1 - weight) * x[low] + weight * x[high]; nothing if low < 0.
struct RoiTap {
  int32_t low, high;
  float weight;
};

ATROUS_HD inline RoiTap roi_tap(float position, int64_t size) {
  // Written so that NaN is outside.
  if (!(position >= -1.0f && position <= static_cast<float>(size))) return {-1, -1, 0.0f};
  if (position < 0.0f) position = 0.0f;
  const auto low = static_cast<int32_t>(position), last = static_cast<int32_t>(size - 1);
  if (low >= last) return {last, last, 0.0f};
  return {low, low + 1, position - static_cast<float>(low)};
}

// Samples [begin, end) of a bin: all those whose position is in [from, to], and where there are only a few
// samples perhaps others. A box may reach far beyond its map: samples outside must cost no time.
struct RoiSamples {
  int32_t begin, end;
};

ATROUS_HD inline RoiSamples roi_samples_between(const RoiAxis& a, int64_t bin, float from, float to) {
  if (a.samples <= 4 || !(a.bin > 0)) return {0, a.samples};
  // Positions grow with i, also after rounding.
  const auto first_where = [&](auto reached) {
    int32_t begin = 0, end = a.samples;
    while (begin < end) {
      const int32_t middle = begin + (end - begin) / 2;
      if (reached(roi_sample(a, bin, middle)))
        end = middle;
      else
        begin = middle + 1;
    }
    return begin;
  };
  return {first_where([&](float position) { return position >= from; }),
          first_where([&](float position) { return position > to; })};
}

ATROUS_HD inline RoiSamples roi_samples_inside(const RoiAxis& a, int64_t bin, int64_t size) {
  return roi_samples_between(a, bin, -1.0f, static_cast<float>(size));
}

// The weight with which a bin reads input `at` along this axis: the mean over its samples. A pixel's weight
// is the product of those of its row and its column.
ATROUS_HD inline float roi_weight(const RoiAxis& a, int64_t bin, int64_t at, int64_t size) {
  const RoiSamples near = roi_samples_between(a, bin, static_cast<float>(at - 1), static_cast<float>(at + 1));
  float sum = 0;
  for (int32_t i = near.begin; i < near.end; ++i) {
    const RoiTap tap = roi_tap(roi_sample(a, bin, i), size);
    if (tap.low == at)
      sum += 1.0f - tap.weight;
    else if (tap.high == at)
      sum += tap.weight;
  }
  return a.samples > 0 ? sum / static_cast<float>(a.samples) : 0.0f;
}

// False only if no bin of this axis reads an input in [first, last]; may be true although none does.
ATROUS_HD inline bool roi_may_read(const RoiAxis& a, int64_t bins, int64_t first, int64_t last) {
  const float begin = a.start, end = a.start + a.bin * static_cast<float>(bins);
  const float low = begin < end ? begin : end, high = begin < end ? end : begin;
  // A sample reads up to a pixel away. The rest is for rounding.
  const float margin = 2.0f + 1e-6f * (std::fabs(begin) + std::fabs(end));
  return a.samples > 0 && low - margin <= static_cast<float>(last) &&
         high + margin >= static_cast<float>(first);
}

// The image of a region, from the first of its five numbers; -1 if that is not an image.
ATROUS_HD inline int64_t roi_image(float index, int64_t images) {
  return index >= 0.0f && index < static_cast<float>(images) ? static_cast<int64_t>(index) : -1;
}

}  // namespace atrous::kernels
