// Where the pixels of an augmented picture come from: one map for all geometric changes together, which
// image, label map, boxes and masks follow alike. Internal to data/.
#pragma once

#include <cstdint>
#include <vector>

#include "data/augment.h"

namespace atrous::data::internal {

// x' = a x + b y + c, y' = d x + e y + f, on continuous coordinates (pixel i covers [i, i + 1)).
struct Affine {
  double a = 1, b = 0, c = 0, d = 0, e = 1, f = 0;

  // this after first
  Affine after(const Affine& first) const {
    return {a * first.a + b * first.d, a * first.b + b * first.e, a * first.c + b * first.f + c,
            d * first.a + e * first.d, d * first.b + e * first.e, d * first.c + e * first.f + f};
  }

  // Maps back; the affine parts used here never collapse an axis.
  Affine inverse() const {
    const double det = a * e - b * d;
    return {e / det, -b / det, (b * f - c * e) / det, -d / det, a / det, (c * d - a * f) / det};
  }
};

// Where each output pixel comes from: an affine map, and displacements on a grid that are added before it.
struct Warp {
  int64_t height = 0, width = 0;
  Affine map;
  int64_t grid = 0;                 // 0: no elastic part
  std::vector<double> dx, dy;       // grid x grid
  std::vector<double> row_weights;  // [height, grid], cubic interpolation between the nodes
  std::vector<double> column_weights;
};

// What the options say for an image of this size, drawn from `rng`.
Warp draw_warp(int64_t source_height, int64_t source_width, const AugmentOptions& options, Rng& rng);

// Source coordinates (pixel centres at whole numbers) of the outputs [begin, end) of row y.
void source_row(const Warp& warp, int64_t y, int64_t begin, int64_t end, float* xs, float* ys);

// augment() of augment.h, which tells the map it drew.
Sample augment(const Sample& sample, const AugmentOptions& options, Rng& rng, Warp& warp);

}  // namespace atrous::data::internal
