#include <algorithm>

#include "kernels/common/ceil_div.h"
#include "kernels/conv2d/correlation.h"

namespace atrous::kernels {
namespace {

constexpr int64_t wanted_tasks = 32;
constexpr int64_t task_input_floats = 1 << 17;    // 512 KiB: stays in the second-level cache
constexpr int64_t block_weight_floats = 1 << 16;  // 256 KiB: stays there beside the input
constexpr int64_t fewest_groups = 8;              // of panels, where these are the tasks
constexpr double smallest_task_flops = 4e5;

// Output columns between which every tap reads either inside the image or nothing but padding: 0, ...,
// columns. Tiles that respect them need no padded copy. Empty if some piece would be too short for a good
// tile, as with dense 3x3 filters; large dilation rates leave three long pieces.
std::vector<int64_t> cut_at_padding(const std::vector<Tap>& taps, int64_t columns, int64_t step_w,
                                    int64_t x_columns) {
  constexpr int64_t shortest = 4;
  std::vector<int64_t> cuts{0, columns};
  for (const Tap& t : taps) {
    for (const int64_t edge : {-t.w, x_columns - t.w}) {
      const int64_t q = edge <= 0 ? 0 : ceil_div(edge, step_w);
      if (q > 0 && q < columns) cuts.push_back(q);
    }
  }
  sort_unique(cuts);
  for (size_t i = 1; cuts.size() > 2 && i < cuts.size(); ++i) {
    if (cuts[i] - cuts[i - 1] < shortest) return {};
  }
  return cuts;
}

// Blocks of rows and columns, and groups of panels where weights are cheaper to read again than x.
void split_space(const CorrelationPlan& plan, const TileKernels& kernels, int64_t input_floats,
                 int64_t weight_floats, CorrelationSplit& s) {
  const CorrelationShape& shape = plan.shape;
  const int64_t images = shape.images, rows = plan.rows, columns = plan.columns;
  const int64_t unit = kernels.max_rows[0] * 16;  // whole tiles of either width
  if (columns > 2 * unit) s.columns = unit;
  s.column_blocks = ceil_div(columns, s.columns);
  const int64_t row_floats = std::max<int64_t>(1, s.columns * shape.step_w * shape.c * shape.step_h);
  s.rows = std::clamp<int64_t>(task_input_floats / row_floats, 1, rows);
  const double flops = 2.0 * static_cast<double>(images * rows * columns) * static_cast<double>(shape.k) *
                       static_cast<double>(plan.steps);
  const int64_t tasks =
      std::clamp<int64_t>(static_cast<int64_t>(flops / smallest_task_flops), 1, wanted_tasks);
  // Splitting panels reads the input more often, splitting rows the weights: split the cheaper one first.
  const int64_t blocks = images * s.column_blocks * ceil_div(rows, s.rows);
  if (blocks < tasks && weight_floats > input_floats) {
    s.groups = std::min<int64_t>(static_cast<int64_t>(plan.panels.size()), ceil_div(tasks, blocks));
  }
  const int64_t row_blocks_wanted = ceil_div(tasks, images * s.column_blocks * s.groups);
  s.rows = std::clamp<int64_t>(rows / row_blocks_wanted, 1, s.rows);
  s.row_blocks = ceil_div(rows, s.rows);
  // Still too few, as for a small 1x1 layer whose images are one row: shorter pieces, if they need no
  // padded copies.
  const int64_t column_blocks_wanted = ceil_div(tasks, images * s.row_blocks * s.groups);
  if (plan.direct && column_blocks_wanted > s.column_blocks) {
    const int64_t shortest = 2 * kernels.max_rows[0];
    s.columns = std::min(columns, shortest * ceil_div(columns, column_blocks_wanted * shortest));
    s.column_blocks = ceil_div(columns, s.columns);
  }
  s.spatial_tasks = images * s.row_blocks * s.column_blocks;
}

CorrelationSplit choose_split(const CorrelationPlan& plan, const TileKernels& kernels) {
  CorrelationSplit s;
  const CorrelationShape& shape = plan.shape;
  const auto panels = static_cast<int64_t>(plan.panels.size());
  const int64_t width = plan.panels[0].width;
  const int64_t weight_floats = shape.k * plan.steps;
  const int64_t input_floats =
      shape.images * plan.rows * plan.columns * shape.step_h * shape.step_w * shape.c;
  s.rows = plan.rows;
  s.columns = plan.columns;
  s.block_steps = std::max<int64_t>(1, plan.steps);
  if (panels >= fewest_groups &&
      weight_floats > input_floats * (input_floats <= 2 * task_input_floats ? 1 : 4)) {
    s.by_panels = true;
    // Rows of a filter whose output channels are neighbours are read a few panels at a time.
    const int64_t together = shape.k_dense ? std::min<int64_t>(4, panels / fewest_groups) : 1;
    s.groups = std::min(panels / together, wanted_tasks);
    s.block_steps = std::min(s.block_steps, block_weight_floats / (together * width));
  } else {
    split_space(plan, kernels, input_floats, weight_floats, s);
  }
  s.block_panels = std::max<int64_t>(1, block_weight_floats / (s.block_steps * width));
  return s;
}

}  // namespace

CorrelationPlan plan_correlation(CorrelationShape shape, const TileKernels& kernels) {
  sort_taps(shape);
  CorrelationPlan plan;
  plan.taps = shape.taps();
  plan.steps = shape.c * static_cast<int64_t>(plan.taps.size());
  plan.extent = extent_of(plan.taps);
  plan.cuts = cut_at_padding(plan.taps, shape.columns(), shape.step_w, shape.w);
  plan.direct = !plan.cuts.empty() && !shape.has_prologue;
  if (plan.direct) join_images(shape);
  plan.rows = shape.rows();
  plan.columns = shape.columns();
  if (!plan.direct || plan.cuts.size() == 2) plan.cuts = {0, plan.columns};
  const bool padded =
      plan.extent.w_min < 0 || (plan.columns - 1) * shape.step_w + plan.extent.w_max >= shape.w;
  const bool dense = !plan.direct || (!padded && shape.x_column == shape.c);
  int64_t first_step = 0;
  for (const Phase& phase : shape.phases) {
    plan.runs.push_back(runs_of(phase.taps, dense, shape.c, 1, first_step));
    first_step += shape.c * static_cast<int64_t>(phase.taps.size());
  }
  plan.panels = split_into_panels(shape.k, kernels.lanes);
  plan.widest_strip = kernels.max_rows[plan.panels[0].vectors == 2 ? 0 : 1];
  plan.shape = std::move(shape);
  plan.split = choose_split(plan, kernels);
  return plan;
}

CorrelationPlan::Block CorrelationPlan::block(int64_t spatial_task) const {
  const int64_t column = spatial_task % split.column_blocks * split.columns;
  const int64_t row = spatial_task / split.column_blocks % split.row_blocks * split.rows;
  const int64_t image = spatial_task / (split.column_blocks * split.row_blocks);
  return {image,
          split.by_panels ? shape.images : image + 1,
          row,
          std::min(rows, row + split.rows),
          column,
          std::min(columns, column + split.columns),
          direct ? 0 : column * shape.step_w + extent.w_min,
          spatial_task};
}

const Panel* CorrelationPlan::first_panel(int64_t group) const {
  return panels.data() + group * static_cast<int64_t>(panels.size()) / split.groups;
}

}  // namespace atrous::kernels
