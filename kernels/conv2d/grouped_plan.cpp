#include <algorithm>

#include "kernels/common/ceil_div.h"
#include "kernels/conv2d/grouped.h"

namespace atrous::kernels {
namespace {

constexpr int64_t wanted_tasks = 32;
constexpr int64_t fewest_blocks = 4;        // of a task: pieces of 256 bytes are copied at full speed
constexpr int64_t fewest_rows = 4;          // the rows above and below are copied too
constexpr int64_t window_floats = 1 << 16;  // copies of rows in use: 256 KiB, in the second-level cache
constexpr double smallest_task_flops = 2e5;
constexpr int64_t pixels_between_loads = 64;  // of the sums of a gradient of the filter

// Sorted taps; neighbours are joined where results are one or two pixels apart.
std::vector<JoinedTaps> join_taps(const std::vector<Tap>& taps, int64_t step, int64_t first) {
  std::vector<JoinedTaps> runs;
  for (const Tap& t : taps) {
    const bool joins = !runs.empty() && step <= 2 && runs.back().count < most_joined_taps &&
                       runs.back().h == t.h && runs.back().w + runs.back().count == t.w;
    if (joins)
      ++runs.back().count;
    else
      runs.push_back({t.h, t.w, first, 1});
    ++first;
  }
  return runs;
}

int64_t tasks_for(double flops) {
  return std::clamp<int64_t>(static_cast<int64_t>(flops / smallest_task_flops), 1, wanted_tasks);
}

// Blocks of a task, of those that give `parts` tasks: `row_floats` are copied for a lane.
void split_blocks(GroupSplit& split, int64_t blocks, int64_t parts, int64_t row_floats, int64_t lanes) {
  const int64_t most = std::clamp<int64_t>(window_floats / (row_floats * lanes), 1, blocks);
  split.blocks = std::min(most, std::max(fewest_blocks, ceil_div(blocks, parts)));
  split.block_parts = ceil_div(blocks, split.blocks);
  split.blocks = ceil_div(blocks, split.block_parts);
}

}  // namespace

int64_t GroupBlocks::groups_of(int64_t block) const {
  return std::min(together, groups - block * together);
}

std::vector<int32_t> GroupBlocks::index(int64_t lanes) const {
  std::vector<int32_t> table(static_cast<size_t>(in * lanes), 0);
  for (int64_t j = 0; j < in; ++j) {
    for (int64_t lane = 0; lane < together * out; ++lane)
      table[static_cast<size_t>(j * lanes + lane)] = static_cast<int32_t>(lane / out * in + j);
  }
  return table;
}

GroupBlocks group_blocks(int64_t groups, int64_t in, int64_t out, int64_t lanes) {
  const int64_t together = std::min(groups, lanes / std::max(in, out));
  return {groups, in, out, together, ceil_div(groups, together)};
}

int64_t copied_pixel_stride(int64_t channels, int64_t lanes) {
  return (ceil_div(channels, lanes) | 1) * lanes;
}

GroupedCorrelationPlan plan_grouped_correlation(CorrelationShape shape, int64_t groups, int64_t lanes) {
  sort_taps(shape);
  GroupedCorrelationPlan plan;
  plan.taps = shape.taps();
  plan.extent = extent_of(plan.taps);
  plan.rows = shape.rows();
  plan.columns = shape.columns();
  plan.blocks = group_blocks(groups, shape.c, shape.k, lanes);
  int64_t first = 0;
  for (const Phase& phase : shape.phases) {
    plan.runs.push_back(join_taps(phase.taps, shape.step_w, first));
    first += static_cast<int64_t>(phase.taps.size());
  }
  const double products = static_cast<double>(shape.images * plan.rows * plan.columns) *
                          static_cast<double>(groups * shape.k * shape.c * first);
  const int64_t tasks = tasks_for(2 * products);
  const int64_t window = plan.extent.h_max - plan.extent.h_min + 1;
  const int64_t width = (plan.columns - 1) * shape.step_w + plan.extent.w_max - plan.extent.w_min + 1;
  GroupSplit& split = plan.split;
  split_blocks(split, plan.blocks.blocks, ceil_div(tasks, shape.images), std::min(window, shape.h) * width,
               lanes);
  const int64_t row_parts = ceil_div(tasks, shape.images * split.block_parts);
  split.rows = std::min(plan.rows, std::max(fewest_rows, ceil_div(plan.rows, row_parts)));
  split.row_parts = ceil_div(plan.rows, split.rows);
  plan.shape = std::move(shape);
  return plan;
}

GroupedWeightPlan plan_grouped_weight(const Conv2dProblem& p, int64_t lanes) {
  GroupedWeightPlan plan;
  plan.problem = p;
  plan.blocks = group_blocks(p.groups, p.k / p.groups, p.c / p.groups, lanes);
  plan.runs = join_taps(forward_taps(p), 1, 0);
  const int64_t rows = p.n * p.p();
  plan.rows_together = std::clamp<int64_t>(ceil_div(pixels_between_loads, p.q()), 1, p.p());
  const int64_t tasks = tasks_for(p.flops());
  const int64_t window = (plan.rows_together - 1) * p.stride_h + (p.r - 1) * p.dilation_h + 1;
  const int64_t width = (p.q() - 1) * p.stride_w + (p.s - 1) * p.dilation_w + 1;
  GroupSplit& split = plan.split;
  split_blocks(split, plan.blocks.blocks, tasks, std::min(window, p.h) * width, lanes);
  split.rows =
      std::min(rows, std::max(2 * plan.rows_together, ceil_div(rows, ceil_div(tasks, split.block_parts))));
  split.row_parts = ceil_div(rows, split.rows);
  return plan;
}

}  // namespace atrous::kernels
