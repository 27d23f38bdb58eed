#include <algorithm>

#include "kernels/common/ceil_div.h"
#include "kernels/conv2d/pack.h"
#include "kernels/conv2d/weight_gradient.h"

namespace atrous::kernels {
namespace {

constexpr int64_t strip_pixels = 192;     // dy and x of a strip fit into the first two cache levels
constexpr int64_t longest_segment = 256;  // of an output row
constexpr int64_t wanted_tasks = 16;
constexpr int64_t fewest_pixels = 256;  // of a split: fewer would not pay for adding up its result
constexpr double smallest_task_flops = 1e6;
constexpr int64_t most_partial_floats = 1 << 24;
constexpr int64_t skew = 16;  // added to pixel strides: powers of two would meet in few cache sets
// Floats between pixels up to which tiles read a map itself. The lines that a tile reads, one or two per
// pixel, would otherwise meet in few sets of the first-level cache (in one, of 12 lines, if there are 1024
// channels) and each lie on a separate page. Measured: copies with a skew gain 20 to 40 % from 512 channels
// on, and lose up to 10 % where a map is narrower.
constexpr int64_t widest_direct_x = 256, widest_direct_dy = 64;

// The memory that tiles read, and the blocks of channels that decide how often.
void choose_operands(WeightGradientPlan& plan, const TileKernels& kernels) {
  const Conv2dProblem& p = plan.p;
  const int64_t row = p.s * p.c, lanes = kernels.lanes;
  plan.fold = p.dilation_w == 1 && p.c <= 64 && p.s > 1;
  plan.k_in_lanes = plan.fold && round_up(p.k, lanes) * row < p.k * round_up(row, lanes);
  // Blocks of x, dy and dw stay in the second-level cache. Where no value of x meets two taps, a wider
  // block has as much arithmetic per value that is copied.
  const bool disjoint = p.stride_h >= p.r && p.stride_w >= p.s;
  const int64_t c_block = plan.fold ? p.c : std::min<int64_t>(p.c, disjoint ? 256 : 64);
  const int64_t k_block = ceil_div(p.k, ceil_div(p.k, disjoint ? 256 : 128));
  plan.tasks = {p.c, p.k, c_block, k_block, 1};
  const bool inside = p.pad_w == 0 && p.pad_h == 0;
  // A copy is worth its pass if tiles read it often enough: x once per tile height, dy once per panel.
  const bool x_read_often = p.k > 2 * kernels.max_rows[0];
  const bool dy_read_often = c_block * p.r * p.s >= 4 * 2 * lanes;
  plan.direct =
      inside && !plan.fold && p.c % lanes == 0 && (plan.x_column <= widest_direct_x || !x_read_often);
  const bool whole_vectors = p.k % lanes == 0 && k_block % lanes == 0;
  plan.copy_dy = plan.k_in_lanes ? !whole_vectors : plan.dy_column > widest_direct_dy && dy_read_often;
  plan.dy_stride = plan.copy_dy ? k_block + skew : plan.dy_column;
  plan.x_stride = plan.direct ? plan.x_column : plan.fold ? p.c : c_block + skew;
}

int64_t choose_splits(const WeightGradientPlan& plan) {
  const Conv2dProblem& p = plan.p;
  const int64_t blocks = plan.tasks.blocks();
  const auto by_work = static_cast<int64_t>(p.flops() / smallest_task_flops / static_cast<double>(blocks));
  const int64_t by_memory = most_partial_floats / plan.size();
  const int64_t by_pixels = p.n * plan.rows * plan.columns / fewest_pixels;
  return std::clamp<int64_t>(std::min({ceil_div(wanted_tasks, blocks), by_work, by_memory, by_pixels}), 1,
                             plan.segments);
}

}  // namespace

WeightGradientPlan plan_weight_gradient(const Conv2dProblem& p, int64_t x_column, int64_t dy_column,
                                        const TileKernels& kernels) {
  WeightGradientPlan plan;
  plan.p = join_images(p);
  plan.rows = plan.p.p();
  plan.columns = plan.p.q();
  plan.x_column = x_column;
  plan.dy_column = dy_column;
  plan.lanes = kernels.lanes;
  choose_operands(plan, kernels);
  plan.segments_per_row = ceil_div(plan.columns, longest_segment);
  plan.segment = ceil_div(plan.columns, plan.segments_per_row);
  plan.segments = plan.p.n * plan.rows * plan.segments_per_row;
  plan.tasks.splits = choose_splits(plan);
  return plan;
}

Strip WeightGradientPlan::strip(int64_t first, int64_t end) const {
  const int64_t row = first / segments_per_row, part = first % segments_per_row;
  Strip s{row / rows, row % rows, row % rows + 1, part * segment, std::min(columns, (part + 1) * segment)};
  if (segments_per_row == 1) {
    const int64_t more = std::min({strip_pixels / columns, rows - s.p_begin, end - first});
    s.p_end = s.p_begin + std::max<int64_t>(1, more);
  }
  return s;
}

int64_t WeightGradientPlan::tallest_strip() const {
  return std::max<int64_t>(1, strip_pixels / columns);
}

std::vector<ColumnTile> WeightGradientPlan::tiles(const GradientTasks::Task& task) const {
  std::vector<ColumnTile> all;
  if (k_in_lanes) {
    for (const Panel& panel : split_into_panels(task.k_count, lanes)) {
      for (int64_t r = 0; r < p.r; ++r)
        all.push_back({r, 0, panel.first, task.k_first + panel.first, panel.channels, panel.vectors});
    }
    return all;
  }
  for (int64_t r = 0; r < p.r; ++r) {
    for (int64_t s = 0; s < (fold ? 1 : p.s); ++s) {
      for (const Panel& panel : split_into_panels(fold ? p.s * p.c : task.c_count, lanes)) {
        all.push_back({r, s * p.dilation_w, panel.first, (r * p.s + s) * p.c + task.c_first + panel.first,
                       panel.channels, panel.vectors});
      }
    }
  }
  return all;
}

std::pair<int64_t, int64_t> WeightGradientPlan::inside_image(const ColumnTile& tile, const Strip& s) const {
  if (fold) return {s.q_begin, s.q_end};
  const int64_t first = tile.x_column - p.pad_w;  // read by output column 0
  const int64_t q = first < 0 ? ceil_div(-first, p.stride_w) : 0;
  const int64_t q_end = first < p.w ? ceil_div(p.w - first, p.stride_w) : 0;
  return {std::max(s.q_begin, q), std::min(s.q_end, q_end)};
}

}  // namespace atrous::kernels
