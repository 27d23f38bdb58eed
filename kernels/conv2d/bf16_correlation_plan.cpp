#include <algorithm>

#include "kernels/common/ceil_div.h"
#include "kernels/conv2d/bf16_correlation.h"

namespace atrous::kernels {
namespace {

constexpr int64_t wanted_tasks = 16;
constexpr int64_t task_bytes = 768 * 1024;  // of rounded input
constexpr int64_t smallest_width = 64;      // pixels of a task: each reads all weights

// The layout of a pixel's channels in the buffer, and the taps of one run: few channels are folded, so that
// neighbouring taps follow each other without zeros between them, if that saves steps.
void choose_layout(Bf16CorrelationPlan& plan) {
  const int64_t separate = ceil_div(plan.shape.c, bf16_step), folded = round_up(plan.shape.c, 2);
  bool fold = false;
  for (const Phase& phase : plan.shape.phases) {
    for (const TapRun& r : runs_of(phase.taps, true, folded, bf16_step, 0))
      fold |= r.steps < r.count * separate;
  }
  plan.width = fold ? folded : separate * bf16_step;
  // An odd number of cache lines: powers of two would meet in few sets of the first-level cache.
  plan.pixel_stride = !fold && separate >= 8 && separate % 2 == 0 ? plan.width + bf16_step : plan.width;
  for (const Phase& phase : plan.shape.phases)
    plan.runs.push_back(runs_of(phase.taps, fold, plan.width, bf16_step, 0));
}

void choose_tasks(Bf16CorrelationPlan& plan) {
  const int64_t images = plan.shape.images, rows = plan.rows, columns = plan.columns;
  const int64_t lines = images * rows;
  int64_t &block_rows = plan.block_rows, &block_columns = plan.block_columns;
  const auto bytes = [&] {
    return plan.rows_read(block_rows) * plan.window(block_columns) * plan.pixel_stride * 2;
  };
  block_rows = std::max<int64_t>(1, std::min(rows, lines / wanted_tasks));
  block_columns = columns;
  if (lines < wanted_tasks)
    block_columns = std::max(ceil_div(columns, ceil_div(wanted_tasks, lines)), smallest_width);
  while (block_rows > 1 && bytes() > task_bytes) block_rows = ceil_div(block_rows, 2);
  while (block_columns > smallest_width && bytes() > task_bytes) block_columns = ceil_div(block_columns, 2);
  block_columns = std::min(columns, round_up(block_columns, 2 * bf16_lanes));
  plan.row_blocks = ceil_div(rows, block_rows);
  plan.column_blocks = ceil_div(columns, block_columns);
  plan.panel_groups = std::clamp<int64_t>(wanted_tasks / plan.spatial_tasks(), 1, plan.panels);
}

}  // namespace

Bf16CorrelationPlan plan_bf16_correlation(CorrelationShape shape) {
  sort_taps(shape);
  join_images(shape);
  Bf16CorrelationPlan plan;
  plan.rows = shape.rows();
  plan.columns = shape.columns();
  const std::vector<Tap> taps = shape.taps();
  for (const Tap& t : taps) plan.heights.push_back(t.h);
  sort_unique(plan.heights);
  const TapExtent extent = extent_of(taps);
  plan.w_min = extent.w_min;
  plan.w_max = extent.w_max;
  // Columns between those that a single tap column reads are left out.
  plan.column_step = plan.w_min == plan.w_max ? shape.step_w : 1;
  plan.panels = ceil_div(shape.k, bf16_panel);
  plan.shape = std::move(shape);
  choose_layout(plan);
  choose_tasks(plan);
  return plan;
}

Bf16CorrelationPlan::Block Bf16CorrelationPlan::block(int64_t spatial_task) const {
  const int64_t column = spatial_task % column_blocks * block_columns;
  const int64_t row = spatial_task / column_blocks % row_blocks * block_rows;
  return {spatial_task / column_blocks / row_blocks, row, std::min(rows, row + block_rows), column,
          std::min(columns, column + block_columns)};
}

int64_t Bf16CorrelationPlan::steps(size_t phase) const {
  const std::vector<TapRun>& all = runs[phase];
  return all.empty() ? 0 : all.back().first_step + all.back().steps;
}

int64_t Bf16CorrelationPlan::rows_read(int64_t output_rows) const {
  return static_cast<int64_t>(kernels::rows_read(output_rows, shape.step_h, heights).size());
}

int64_t Bf16CorrelationPlan::window(int64_t pixels) const {
  return (pixels - 1) * shape.step_w / column_step + (w_max - w_min) / column_step + 1;
}

}  // namespace atrous::kernels
