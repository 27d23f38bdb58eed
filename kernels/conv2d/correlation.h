// Correlations (correlation_shape.h) with f32 factors: plan_correlation decides from the shape alone how one
// is computed, execute computes it.
//
// All phases are computed together, a few pixels of x at a time: what they read is then in the first-level
// cache, and the rows that they write between them are completed while they are there too.
#pragma once

#include <vector>

#include "kernels/conv2d/correlation_shape.h"
#include "kernels/conv2d/tiles.h"

namespace atrous::kernels {

// How the work is cut into tasks: each of a few spatial parts for each of a few groups of panels. Either a
// part is a block of images, rows and columns, and reads the filter that was packed before; or ("by_panels":
// more weights than pixels) a task is a group of panels for all pixels, which packs its part of the filter, a
// block at a time, and uses it while it is in the second-level cache. GFLOP/s on two cores, packed before and
// by panels:
//
//   3x3, 512 to 512 channels on 8x8       forward 173, 294   input gradient 190, 256
//   7x7, 512 to 4096 channels on 18x22    forward 172, 349   input gradient  64, 218
struct CorrelationSplit {
  bool by_panels = false;
  int64_t groups = 1;  // of panels
  int64_t rows = 1, row_blocks = 1;
  int64_t columns = 1, column_blocks = 1;
  int64_t spatial_tasks = 1;
  int64_t block_panels = 1;  // visited together by a strip of pixels
  int64_t block_steps = 1;   // of the reduction
};

struct CorrelationPlan {
  // Outputs of all phases: images [image, image_end), rows [p, p_end), columns [q, q_end).
  struct Block {
    int64_t image, image_end, p, p_end, q, q_end;
    int64_t first_column;  // of x in the padded copies
    int64_t task;          // the spatial task
  };

  CorrelationShape shape;                 // its images joined if that is possible, its taps sorted
  std::vector<Panel> panels;              // of output channels
  std::vector<Tap> taps;                  // of all phases, one after the other
  int64_t steps = 0;                      // of the reduction: taps times channels
  std::vector<std::vector<TapRun>> runs;  // of each phase
  int64_t rows = 0, columns = 0;          // of the largest phase
  TapExtent extent;
  bool direct = false;        // tiles read x itself: no prologue, padding avoided by cuts
  std::vector<int64_t> cuts;  // pieces of an output row begin and end there: 0, ..., columns
  int64_t widest_strip = 1;   // pixels of a tile of the first panel
  CorrelationSplit split;

  int64_t tasks() const { return split.spatial_tasks * split.groups; }
  Block block(int64_t spatial_task) const;
  const Panel* first_panel(int64_t group) const;  // the end of the group before; group may be split.groups
};

// Of the kernels, lanes and max_rows matter alone.
CorrelationPlan plan_correlation(CorrelationShape shape, const TileKernels& kernels);

// `operands` fit the shape that was planned, `kernels` are of the instruction set.
void execute(const CorrelationPlan& plan, const CorrelationOperands& operands, const TileKernels& kernels);

}  // namespace atrous::kernels
