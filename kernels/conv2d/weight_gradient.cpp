#include "kernels/conv2d/weight_gradient.h"

#include <algorithm>

#include "kernels/common/ceil_div.h"
#include "kernels/conv2d/rows.h"

namespace atrous::kernels {
namespace {

// All rows, which are dw_stride apart in dw, in register tiles of nearly equal height.
void run_tile(const WeightGradientPlan& plan, const TileKernels& kernels, const ColumnTile& tile,
              std::vector<Run>& runs, int64_t rows, float* dw, int64_t dw_stride, bool accumulate) {
  const int64_t heights = ceil_div(rows, kernels.max_rows[tile.vectors == 2 ? 0 : 1]);
  const int64_t x_advance = plan.p.stride_w * plan.x_stride;
  WeightTile t{runs.data(),
               static_cast<int64_t>(runs.size()),
               plan.k_in_lanes ? x_advance : plan.dy_stride,
               plan.k_in_lanes ? plan.dy_stride : x_advance,
               nullptr,
               dw_stride,
               tile.channels,
               accumulate};
  int64_t done = 0;
  for (int64_t i = 0; i < heights; ++i) {
    const int64_t first = i * rows / heights, end = (i + 1) * rows / heights;
    for (Run& run : runs) run.a += first - done;
    done = first;
    t.dw = dw + first * dw_stride + tile.dw_column;
    kernels.weight(t, tile.vectors, end - first);
  }
}

// The maps, and padded copies of the parts that a task reads.
struct Maps {
  Maps(const WeightGradientPlan& plan, const WeightGradientOperands& operands,
       const GradientTasks::Task& task)
      : x{operands.x + task.c_first, plan.p.h, plan.p.w, plan.x_column},
        dy{operands.dy + task.k_first, plan.rows, plan.columns, plan.dy_column},
        x_rows(x, {}, task.c_count, plan.x_stride,
               (plan.tallest_strip() - 1) * plan.p.stride_h + (plan.p.r - 1) * plan.p.dilation_h + 1),
        dy_rows(dy, {}, task.k_count, plan.dy_stride, plan.tallest_strip()) {}

  Grid x, dy;
  PaddedRows x_rows, dy_rows;
};

// The reads of a tile from a strip: of each row the columns whose tap lies inside the image.
void find_runs(const WeightGradientPlan& plan, const ColumnTile& tile, const Strip& s, Maps& maps,
               std::vector<Run>& runs) {
  const Conv2dProblem& p = plan.p;
  runs.clear();
  const auto [q_begin, q_end] = plan.inside_image(tile, s);
  for (int64_t row = s.p_begin; row < s.p_end && q_begin < q_end; ++row) {
    const int64_t h = row * p.stride_h + tile.r * p.dilation_h - p.pad_h;
    const float* from_x =
        plan.direct ? maps.x.row(s.image, h) + s.q_begin * p.stride_w * plan.x_stride : maps.x_rows.row(h);
    if (!from_x) continue;
    const float* from_dy =
        plan.copy_dy ? maps.dy_rows.row(row) : maps.dy.row(s.image, row) + s.q_begin * plan.dy_stride;
    from_x += tile.x_column * plan.x_stride + (q_begin - s.q_begin) * p.stride_w * plan.x_stride;
    from_dy += (q_begin - s.q_begin) * plan.dy_stride;
    const int64_t count = q_end - q_begin;
    runs.push_back(plan.k_in_lanes ? Run{from_x, from_dy + tile.channel, count}
                                   : Run{from_dy, from_x + tile.channel, count});
  }
}

void run_task(const WeightGradientPlan& plan, const WeightGradientOperands& operands,
              const TileKernels& kernels, const GradientTasks::Task& task, float* dw) {
  const Conv2dProblem& p = plan.p;
  const std::vector<ColumnTile> tiles = plan.tiles(task);
  const int64_t row = p.s * p.c;  // of the filter
  Maps maps(plan, operands, task);
  std::vector<Run> runs;
  const int64_t begin = plan.first_segment(task.split), end = plan.first_segment(task.split + 1);
  for (int64_t segment = begin; segment < end;) {
    const Strip s = plan.strip(segment, end);
    const int64_t width = s.q_end - s.q_begin;
    if (!plan.direct) {
      maps.x_rows.select(s.image, s.q_begin * p.stride_w - p.pad_w,
                         (width - 1) * p.stride_w + (p.s - 1) * p.dilation_w + 1);
    }
    if (plan.copy_dy) maps.dy_rows.select(s.image, s.q_begin, width);
    for (const ColumnTile& tile : tiles) {
      find_runs(plan, tile, s, maps, runs);
      if (plan.k_in_lanes) {
        run_tile(plan, kernels, tile, runs, row, dw + tile.r * row * p.k, p.k, segment > begin);
      } else {
        run_tile(plan, kernels, tile, runs, task.k_count, dw + task.k_first * p.r * row, p.r * row,
                 segment > begin);
      }
    }
    segment += s.p_end - s.p_begin;
  }
}

}  // namespace

void execute(const WeightGradientPlan& plan, const WeightGradientOperands& operands,
             const TileKernels& kernels) {
  const int64_t size = plan.size(), k_count = plan.p.k, row = size / k_count;
  FloatBuffer by_channel;  // [R,S,C,K]
  if (plan.k_in_lanes) by_channel = FloatBuffer(size);
  run_gradient_tasks(
      plan.tasks, size, plan.k_in_lanes ? by_channel.data() : operands.dw,
      [&](const GradientTasks::Task& task, float* dw) { run_task(plan, operands, kernels, task, dw); });
  if (!plan.k_in_lanes) return;
  for (int64_t k = 0; k < k_count; ++k) {
    for (int64_t i = 0; i < row; ++i) operands.dw[k * row + i] = by_channel.data()[i * k_count + k];
  }
}

}  // namespace atrous::kernels
