// Where the pixels of an augmented picture come from: one map for all geometric changes together, which
// apply to image, label map, boxes and masks alike. Internal to data/.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "data/augment.h"

namespace atrous::data::internal {

// x' = a x + b y + c, y' = d x + e y + f, on continuous coordinates (pixel i covers [i, i + 1)).
struct Affine {
  double a = 1, b = 0, c = 0, d = 0, e = 1, f = 0;

  std::array<double, 2> operator()(double x, double y) const {
    return {a * x + b * y + c, d * x + e * y + f};
  }
  Affine inverse() const;  // the maps used here never collapse an axis
};

// The source of each output pixel: an affine map, and displacements on a grid that are added before it.
struct Warp {
  int64_t height = 0, width = 0;
  Affine map;
  int64_t grid = 0;                 // 0: no elastic part
  std::vector<double> dx, dy;       // grid x grid
  std::vector<double> row_weights;  // [height, grid], cubic interpolation between the nodes
  std::vector<double> column_weights;
};

// The map that the options give for an image of this size, drawn from `rng`.
Warp draw_warp(int64_t source_height, int64_t source_width, const AugmentOptions& options, Rng& rng);

// Source coordinates (pixel centres at whole numbers) of the outputs [begin, end) of row y.
void source_row(const Warp& warp, int64_t y, int64_t begin, int64_t end, float* xs, float* ys);

// augment() of augment.h; `warp` becomes the map that was drawn.
Sample augment(const Sample& sample, const AugmentOptions& options, Rng& rng, Warp& warp);

}  // namespace atrous::data::internal
