// The gradient of the filter on CPUs (weight_gradient_tasks.h) with bf16 factors: plan_bf16_weight_gradient
// decides from the sizes alone how it is computed, execute does it.
//
// The reduction runs along rows of pixels, so x is rounded and transposed, [c][row][column]: a tap is then an
// offset into it. Columns of a strided x are sorted by their remainder modulo the stride. dy is rounded in
// pairs of neighbouring pixels. Pixels come in strips whose copies stay in the second-level cache while all
// taps and channels of a task pass over them; so do the task's sums, [tap][c][k], which are transposed at its
// end.
#pragma once

#include <vector>

#include "kernels/conv2d/bf16_tiles.h"
#include "kernels/conv2d/weight_gradient_tasks.h"

namespace atrous::kernels {

struct Bf16WeightGradientPlan {
  Conv2dProblem p;                      // its images joined if that is possible
  int64_t rows = 0, columns = 0;        // of the output
  int64_t x_column = 1, dy_column = 1;  // floats between pixels of the maps
  GradientTasks tasks;
  int64_t segment = 1, segments = 1;  // pieces of an output row
  int64_t steps = 1;                  // of a segment's reduction
  std::vector<int64_t> heights;       // of the rows of x that taps read, from the first on
  std::vector<int64_t> remainders;    // of the columns that taps read
  int64_t x_columns = 0;              // of one remainder in the copy of x
  int64_t strip_rows = 1, strips_per_segment = 1, strips = 1;

  // Split i reduces strips [first_strip(i), first_strip(i + 1)).
  int64_t first_strip(int64_t split) const { return split * strips / tasks.splits; }
  Strip strip(int64_t index) const;
  // Rows of x that `output_rows` rows of output read, by their distance from the first.
  std::vector<int64_t> rows_read(int64_t output_rows) const;
  int64_t remainder_count() const { return static_cast<int64_t>(remainders.size()); }
};

// x_column and dy_column are floats between pixels.
Bf16WeightGradientPlan plan_bf16_weight_gradient(const Conv2dProblem& p, int64_t x_column, int64_t dy_column);

// `operands` fit the problem that was planned.
void execute(const Bf16WeightGradientPlan& plan, const WeightGradientOperands& operands,
             const Bf16Kernels& kernels);

}  // namespace atrous::kernels
