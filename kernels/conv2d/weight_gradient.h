// The gradient of the filter on CPUs (weight_gradient_tasks.h) with f32 factors: plan_weight_gradient decides
// from the sizes alone how it is computed, execute does it.
//
// Tiles hold a few output channels times a few neighbours of the filter row in registers (vectors of output
// channels where there are very few input channels); pixels pass by in strips that stay in the first two
// cache levels while all tiles visit them.
#pragma once

#include <utility>
#include <vector>

#include "kernels/conv2d/tiles.h"
#include "kernels/conv2d/weight_gradient_tasks.h"

namespace atrous::kernels {

// Neighbouring elements of a row of dw that one tile computes; of a column where lanes hold output channels.
struct ColumnTile {
  int64_t r;         // filter row
  int64_t x_column;  // first pixel of x it reads, from the padded row's start
  int64_t channel;   // of the lanes, within the channel block
  int64_t dw_column;
  int64_t channels, vectors;
};

struct WeightGradientPlan {
  Conv2dProblem p;                      // its images joined if that is possible
  int64_t rows = 0, columns = 0;        // of the output
  int64_t x_column = 1, dy_column = 1;  // floats between pixels of the maps
  int64_t lanes = 1;
  // With dense taps, (s, c) of a padded row are neighbours: few channels still fill vectors.
  bool fold = false;
  // With very few (the first layer) even a filter row leaves vectors half empty. Then lanes hold output
  // channels, and (s, c) are the rows of a tile, if that saves vectors. The result is [R,S,C,K].
  bool k_in_lanes = false;
  bool direct = false, copy_dy = false;                     // whether tiles read x itself, and a copy of dy
  int64_t x_stride = 1, dy_stride = 1;                      // floats between pixels that tiles read
  int64_t segment = 1, segments_per_row = 1, segments = 1;  // pieces of rows of the output, in all images
  GradientTasks tasks;

  int64_t size() const { return p.k * p.r * p.s * p.c; }
  // Split i reduces segments [first_segment(i), first_segment(i + 1)).
  int64_t first_segment(int64_t split) const { return split * segments / tasks.splits; }
  // The longest strip that starts at a segment and ends before `end`: as many segments as it has rows.
  Strip strip(int64_t first, int64_t end) const;
  int64_t tallest_strip() const;
  std::vector<ColumnTile> tiles(const GradientTasks::Task& task) const;
  // The columns of a strip for which a tile's tap lies inside the image: with large dilation rates much of
  // its input would be padding. All of them if a tile covers several taps.
  std::pair<int64_t, int64_t> inside_image(const ColumnTile& tile, const Strip& s) const;
};

// x_column and dy_column are floats between pixels. Of the kernels, lanes and max_rows matter alone.
WeightGradientPlan plan_weight_gradient(const Conv2dProblem& p, int64_t x_column, int64_t dy_column,
                                        const TileKernels& kernels);

// `operands` fit the problem that was planned, `kernels` are of the instruction set.
void execute(const WeightGradientPlan& plan, const WeightGradientOperands& operands,
             const TileKernels& kernels);

}  // namespace atrous::kernels
