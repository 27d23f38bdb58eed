// Boxes, and how much two of them overlap: shared by the reference, the CPU and the GPU.
//
// A box is x1, y1, x2, y2 in pixels; its width is x2 - x1 (no + 1). All arithmetic is f32 in torchvision's
// order, so that overlaps are bit-identical to it: no product may be contracted with a sum. On a GPU
// rounded_product() prevents that, in vectorised code for the CPU a compiler flag (kernels/CMakeLists.txt).
#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/common/rounded.h"

namespace atrous::kernels {

struct Box {
  float x1, y1, x2, y2;
};

ATROUS_HD inline Box box_at(const float* boxes, int64_t i) {
  const float* b = boxes + 4 * i;
  return {b[0], b[1], b[2], b[3]};
}

ATROUS_HD inline float area_of(const Box& b) {
  return rounded_product(b.x2 - b.x1, b.y2 - b.y1);
}

// Intersection over union of boxes whose areas are known. 0 where they do not overlap, and where a box is
// empty, inverted, infinite or NaN: every comparison below is false for NaN.
ATROUS_HD inline float iou_of(const Box& a, float area_a, const Box& b, float area_b) {
  const float left = a.x1 > b.x1 ? a.x1 : b.x1, right = a.x2 < b.x2 ? a.x2 : b.x2;
  const float top = a.y1 > b.y1 ? a.y1 : b.y1, bottom = a.y2 < b.y2 ? a.y2 : b.y2;
  const float width = right - left, height = bottom - top;
  const float shared = rounded_product(width > 0 ? width : 0.0f, height > 0 ? height : 0.0f);
  const float iou = shared / (area_a + area_b - shared);
  return iou > 0 ? iou : 0.0f;
}

ATROUS_HD inline float iou_of(const Box& a, const Box& b) {
  return iou_of(a, area_of(a), b, area_of(b));
}

// The largest f32 that is not above `threshold`. For every f32 x: x > threshold in double, as torchvision
// compares on the CPU, is the same as x > rounded_down(threshold) in f32.
inline float rounded_down(double threshold) {
  const auto nearest = static_cast<float>(threshold);
  return static_cast<double>(nearest) > threshold ? std::nextafterf(nearest, -INFINITY) : nearest;
}

}  // namespace atrous::kernels
