// Correlations (correlation_shape.h) with bf16 factors: plan_bf16_correlation decides from the shape alone
// how one is computed, execute does it.
//
// A task is a block of output pixels of all phases, or some output channels of it where there are few pixels.
// It rounds the input rows that it reads into its buffer, padding included, which stays in the second-level
// cache while all panels of 32 output channels pass over it: a map is read once and y written once, the
// limit of most layers when the products run on AMX.
#pragma once

#include <vector>

#include "kernels/conv2d/bf16_tiles.h"
#include "kernels/conv2d/correlation_shape.h"

namespace atrous::kernels {

struct Bf16CorrelationPlan {
  // Outputs of all phases: rows [p_begin, p_end) and columns [q_begin, q_end) of one image.
  struct Block {
    int64_t image, p_begin, p_end, q_begin, q_end;
  };

  CorrelationShape shape;                 // its images joined if that is possible, its taps sorted
  std::vector<std::vector<TapRun>> runs;  // of each phase, whose weights are packed apart: steps from 0 on
  int64_t rows = 0, columns = 0;          // of the largest phase
  std::vector<int64_t> heights;           // distinct t.h of all phases, sorted
  int64_t w_min = 0, w_max = 0;           // of t.w
  int64_t column_step = 1;                // of x, from pixel to pixel in the buffer
  int64_t width = 0, pixel_stride = 0;    // of a pixel in the buffer: channels and zeros, and all numbers
  int64_t block_rows = 1, block_columns = 1, row_blocks = 1, column_blocks = 1;
  int64_t panels = 1, panel_groups = 1;  // of 32 output channels

  int64_t spatial_tasks() const { return shape.images * row_blocks * column_blocks; }
  Block block(int64_t spatial_task) const;
  int64_t first_panel(int64_t group) const { return group * panels / panel_groups; }
  int64_t vectors(int64_t panel) const { return shape.k - panel * bf16_panel > bf16_lanes ? 2 : 1; }
  int64_t steps(size_t phase) const;             // of all runs
  int64_t rows_read(int64_t output_rows) const;  // how many rows of x
  int64_t window(int64_t pixels) const;          // of x in a row of the buffer, for so many outputs
};

Bf16CorrelationPlan plan_bf16_correlation(CorrelationShape shape);

// `operands` fit the shape that was planned.
void execute(const Bf16CorrelationPlan& plan, const CorrelationOperands& operands,
             const Bf16Kernels& kernels);

}  // namespace atrous::kernels
