// The position of an image's pixel in the mask that a box encloses, along one axis. Reference, CPU and GPU
// kernels share these formulas.
//
// Two rules are in use; a network is evaluated by the one that it was published with. M: size of the mask.
//
//   torchvision  The mask gets a border of zeros, one wide, and the box grows by (M + 2)/M about its centre.
//                Its corners lose their fractions (towards 0), the mask is resized to the box (bilinear,
//                corners not aligned; both corners belong to it) and copied.
//   detectron2   The mask is sampled at the centre of each pixel: the box, as it is, spans the mask. Beyond
//                the mask there are zeros.
#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/common/rounded.h"
#include "kernels/resize/resize_math.h"

namespace atrous::kernels {

enum class PasteRule : unsigned char { torchvision, detectron2 };

struct PasteAxis {
  PasteRule rule;
  int64_t begin, end;     // only pixels in [begin, end) can differ from 0
  int64_t first, extent;  // torchvision: the grown box in whole pixels
  float low, high;        // detectron2: the box
};

// position = low + weight between two elements of the mask; elements outside of [0, M) are 0.
struct PasteTap {
  int32_t low;
  float weight;
};

ATROUS_HD inline PasteAxis paste_axis(PasteRule rule, float low, float high, int64_t size, int64_t pixels) {
  // Beyond this, floats do not represent all whole numbers. Comparisons are false for NaN.
  const float most = 1e9f;
  if (!(std::fabs(low) < most && std::fabs(high) < most)) return {rule, 0, 0, 0, 1, 0, 0};
  PasteAxis a{rule, 0, 0, 0, 1, low, high};
  if (rule == PasteRule::torchvision) {
    const float scale = static_cast<float>(static_cast<double>(size + 2) / static_cast<double>(size));
    const float half = rounded_product((high - low) * 0.5f, scale);
    const float centre = (high + low) * 0.5f;
    const auto last = static_cast<int64_t>(centre + half);
    a.first = static_cast<int64_t>(centre - half);
    a.extent = last - a.first + 1 > 1 ? last - a.first + 1 : 1;
    a.begin = a.first;
    a.end = last + 1;
  } else {
    // Half an element beyond the box, and a pixel for rounding.
    const float smaller = low < high ? low : high, larger = low < high ? high : low;
    const float margin = (larger - smaller) / static_cast<float>(size) + 2.0f;
    a.begin = static_cast<int64_t>(std::floor(smaller - margin));
    a.end = static_cast<int64_t>(std::ceil(larger + margin));
  }
  a.begin = a.begin > 0 ? a.begin : 0;
  a.end = a.end < pixels ? a.end : pixels;
  return a;
}

// For pixels in [begin, end).
ATROUS_HD inline PasteTap paste_tap(const PasteAxis& a, int64_t pixel, int64_t size) {
  if (a.rule == PasteRule::torchvision) {
    const double position = bilinear_source(pixel - a.first, size + 2, a.extent, false);  // border included
    const auto low = static_cast<int32_t>(position);
    return {low - 1, static_cast<float>(position - static_cast<double>(low))};
  }
  const float from_centre = (static_cast<float>(pixel) + 0.5f - a.low) / (a.high - a.low) * 2.0f - 1.0f;
  const float position = (rounded_product(from_centre + 1.0f, static_cast<float>(size)) - 1.0f) / 2.0f;
  // A box without extent has no pixels.
  if (!(position > -1.0f && position < static_cast<float>(size))) return {-2, 0.0f};
  const float low = std::floor(position);
  return {static_cast<int32_t>(low), position - low};
}

// torchvision's masks are compared by >, Detectron2's by >=.
ATROUS_HD inline bool paste_passes(PasteRule rule, float value, float threshold) {
  return rule == PasteRule::torchvision ? value > threshold : value >= threshold;
}

}  // namespace atrous::kernels
