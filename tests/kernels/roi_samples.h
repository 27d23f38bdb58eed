// Regions for the cases of ops that read them.
#pragma once

#include <array>
#include <cmath>
#include <limits>
#include <vector>

#include "core/random.h"
#include "core/tensor.h"

namespace atrous::cases {

using Regions = std::vector<std::array<float, 5>>;  // image, x1, y1, x2, y2

inline Tensor tensor_of(const Regions& regions) {
  const Tensor t = Tensor::empty({static_cast<int64_t>(regions.size()), 5});
  for (size_t i = 0; i < regions.size(); ++i)
    std::copy(regions[i].begin(), regions[i].end(), t.data<float>() + 5 * i);
  return t;
}

// Boxes with sides from an eighth of the image to all of it, some reaching over its borders.
inline Regions random_regions(int64_t count, int64_t images, int64_t height, int64_t width, uint64_t seed) {
  Rng rng(seed, 0x401);
  Regions regions;
  for (int64_t r = 0; r < count; ++r) {
    const double h = static_cast<double>(height) * std::exp2(-3 * rng.uniform());
    const double w = static_cast<double>(width) * std::exp2(-3 * rng.uniform());
    const double y = (static_cast<double>(height) - h) * rng.uniform(-0.1, 1.1);
    const double x = (static_cast<double>(width) - w) * rng.uniform(-0.1, 1.1);
    regions.push_back({static_cast<float>(rng.integer(0, images - 1)), static_cast<float>(x),
                       static_cast<float>(y), static_cast<float>(x + w), static_cast<float>(y + h)});
  }
  return regions;
}

// For an image of this size: ordinary boxes, and what a network that has gone wrong may propose: outside of
// the image, without extent, with exchanged corners, enormous, not a number, of an image that does not exist.
inline Regions hard_regions(float height, float width, float images) {
  const float nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();
  return {
      {0, 1.3f, 2.1f, width / 2, height / 3},
      {images - 1, 0, 0, width, height},
      {0, -width / 3, -height / 4, width / 4, height / 2},
      {0, width / 2, height / 2, 2 * width, 3 * height},
      {0, -90, -90, -20, -10},
      {0, width + 40, height + 40, width + 90, height + 60},
      {0, 5.5f, 6.5f, 5.5f, 6.5f},
      {images - 1, width / 2, height / 2, width / 4, height / 5},
      {0, -1e4f, -1e4f, 1.1e4f, 1.3e4f},
      {0, -3e8f, 3, 3e8f, 9},
      {0, -3e38f, -3e38f, 3e38f, 3e38f},
      {0, nan, 1, 9, 9},
      {0, 1, 1, nan, nan},
      {0, -inf, -inf, inf, inf},
      {0, 1, 1, inf, 9},
      {images, 1, 1, 9, 9},
      {-1, 1, 1, 9, 9},
      {nan, 1, 1, 9, 9},
      {inf, 1, 1, 9, 9},
      {images - 1, 3.7f, 1.9f, 11.2f, 17.7f},
  };
}

}  // namespace atrous::cases
