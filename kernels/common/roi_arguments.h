// Checks of the arguments of ops on regions of interest. Everything throws Error(usage).
#pragma once

#include <cmath>
#include <limits>

#include "core/error.h"
#include "core/tensor.h"

namespace atrous::kernels {

// rois: f32 [R,5].
inline void check_rois(const char* where, const Tensor& rois) {
  ATROUS_CHECK(
      rois.defined() && rois.dtype() == DType::f32 && rois.rank() == 2 && rois.dim(1) == 5, ErrorKind::usage,
      "[{}] regions must be f32 [R, 5]: index of the image, x1, y1, x2, y2. Got {}.", where, rois.describe());
}

// A map that regions read: [N,H,W,C] with pixels, of fewer than 2^31 pixels per image.
inline void check_roi_map(const char* where, const Shape& map, DType dtype, double scale) {
  ATROUS_CHECK(map.rank() == 4 && map[1] >= 1 && map[2] >= 1, ErrorKind::usage,
               "[{}] a map must be [N, H, W, C] with positive H and W. Got {}.", where, map.str());
  ATROUS_CHECK(is_floating(dtype), ErrorKind::usage,
               "[{}] maps must be f32, f64 or bf16. Got {}. Convert them with Tensor::to.", where,
               name_of(dtype));
  ATROUS_CHECK(map[1] <= std::numeric_limits<int32_t>::max() / map[2], ErrorKind::usage,
               "[{}] an image of a map must have fewer than 2^31 pixels. Got {}.", where, map.str());
  ATROUS_CHECK(std::isfinite(scale) && scale > 0, ErrorKind::usage,
               "[{}] a scale must be positive: pixels of the map per pixel of the image. Got {}.", where,
               scale);
}

}  // namespace atrous::kernels
