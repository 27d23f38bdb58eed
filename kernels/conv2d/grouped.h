// Grouped convolution on CPUs where a vector holds several groups: at most 16 channels of a group in and out
// (8 with AVX2). With tiles of one group (correlation.h) most lanes would be empty; here
//
//   y[lane] += x[channel j of the lane's group] * w[tap][j][lane]
//
// needs one permutation per j of a vector of x, which up to three taps share (group_tiles.h). Rows of x are
// copied with their padding and prologue, all channels of a task at a time, into an order that uses all of
// the first-level cache: pixels that are a power of two of bytes apart would share a few of its lines.
//
// A plan depends on the sizes alone.
#pragma once

#include <vector>

#include "kernels/conv2d/correlation_shape.h"
#include "kernels/conv2d/group_tiles.h"

namespace atrous::kernels {

// Groups of `in` and `out` channels, as many as fit into a vector: a block.
struct GroupBlocks {
  int64_t groups, in, out;
  int64_t together;  // groups of a block; the last one may have fewer
  int64_t blocks;

  int64_t groups_of(int64_t block) const;
  // [in][lanes]: for lane (group, o), where a group's channel j is in a vector of `in` channels per group.
  std::vector<int32_t> index(int64_t lanes) const;
};
GroupBlocks group_blocks(int64_t groups, int64_t in, int64_t out, int64_t lanes);

// How copies of rows are laid out for a range of blocks: floats between pixels.
int64_t copied_pixel_stride(int64_t channels, int64_t lanes);

// A task computes rows of one image for some blocks.
struct GroupSplit {
  int64_t blocks = 1, block_parts = 1;  // of a task; parts
  int64_t rows = 1, row_parts = 1;
};

// Neighbouring taps of one row, at most most_joined_taps.
struct JoinedTaps {
  int64_t h, w;          // of the first
  int64_t first, count;  // in the taps of all phases
};

struct GroupedCorrelationPlan {
  CorrelationShape shape;  // of one group, with sorted taps
  GroupBlocks blocks;
  std::vector<Tap> taps;                      // of all phases
  std::vector<std::vector<JoinedTaps>> runs;  // of each phase
  int64_t rows = 0, columns = 0;              // of the largest phase
  TapExtent extent;
  GroupSplit split;

  int64_t tasks() const { return shape.images * split.row_parts * split.block_parts; }
};
GroupedCorrelationPlan plan_grouped_correlation(CorrelationShape shape, int64_t groups, int64_t lanes);

// `operands` are of the first group; those that follow lie behind it, `filter_step` floats apart in the
// filter.
void execute(const GroupedCorrelationPlan& plan, const CorrelationOperands& operands, int64_t filter_step,
             const GroupKernels& kernels);

// The gradient of the filter: a task sums over a part of the rows of all images for some blocks, a few rows
// of dy at a time.
struct GroupedWeightPlan {
  Conv2dProblem problem;
  GroupBlocks blocks;  // in: channels of dy, out: of x
  std::vector<JoinedTaps> runs;
  GroupSplit split;           // rows: of all images
  int64_t rows_together = 1;  // of dy

  int64_t tasks() const { return split.row_parts * split.block_parts; }
  int64_t block_floats(int64_t lanes) const { return problem.r * problem.s * blocks.in * lanes; }
};
GroupedWeightPlan plan_grouped_weight(const Conv2dProblem& problem, int64_t lanes);

void execute(const GroupedWeightPlan& plan, const Tensor& dy, const Tensor& x, const Tensor& dw,
             const GroupKernels& kernels);

}  // namespace atrous::kernels
