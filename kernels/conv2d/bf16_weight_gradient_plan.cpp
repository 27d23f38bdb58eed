#include <algorithm>

#include "kernels/common/ceil_div.h"
#include "kernels/conv2d/bf16_weight_gradient.h"
#include "kernels/conv2d/taps.h"

namespace atrous::kernels {
namespace {

constexpr int64_t most_partial_floats = 1 << 23;
constexpr int64_t sums_bytes = 1024 * 1024;  // of one task
constexpr int64_t strip_bytes = 512 * 1024;  // of rounded x and dy
constexpr int64_t longest_segment = 512;     // of an output row

// The largest block of whole panels that cuts `channels` into equal parts.
int64_t balanced(int64_t channels, int64_t block) {
  return std::min(channels, round_up(ceil_div(channels, ceil_div(channels, block)), bf16_panel));
}

// The channels of a task, and into how many parts the pixels are split: those of the least time on four
// cores. Measured on one core of a Sapphire Rapids Xeon: 0.35 ns to round and reorder a number, which each
// block of the other tensor's channels does anew; 1.2 TFLOP/s; 1.6 ns for each partial sum of dw.
GradientTasks choose_tasks(const Conv2dProblem& p) {
  GradientTasks best;
  const double pixels = static_cast<double>(p.n * p.p() * p.q());
  const int64_t size = p.k * p.r * p.s * p.c;
  double least = 0;
  for (int64_t block = 512; block >= bf16_panel; block /= 2) {
    const int64_t c_block = balanced(p.c, block), k_block = balanced(p.k, block);
    if (block > bf16_panel && p.r * p.s * c_block * k_block * 4 > sums_bytes) continue;
    const int64_t c_blocks = ceil_div(p.c, c_block), k_blocks = ceil_div(p.k, k_block);
    for (int64_t splits = 1; splits <= 16; splits *= 2) {
      if (splits > 1 && splits * size > most_partial_floats) break;
      const double rounding = 0.35 * pixels * static_cast<double>(p.c * k_blocks + p.k * c_blocks);
      const double sums = 1.6 * static_cast<double>(splits * size);
      const double total = rounding + p.flops() / 1200 + sums;
      const double time = total / static_cast<double>(std::min<int64_t>(c_blocks * k_blocks * splits, 4));
      if (least > 0 && time >= least) continue;
      least = time;
      best = {p.c, p.k, c_block, k_block, splits};
    }
  }
  return best;
}

void choose_copies(Bf16WeightGradientPlan& plan) {
  const Conv2dProblem& p = plan.p;
  const int64_t longest =
      std::clamp<int64_t>(strip_bytes / 2 / (plan.tasks.c_block + plan.tasks.k_block), 128, longest_segment);
  plan.segment = ceil_div(plan.columns, ceil_div(plan.columns, longest));
  plan.segment = std::min(plan.columns, round_up(plan.segment, bf16_step));
  plan.segments = ceil_div(plan.columns, plan.segment);
  plan.steps = ceil_div(plan.segment, bf16_step);
  for (int64_t r = 0; r < p.r; ++r) plan.heights.push_back(r * p.dilation_h);
  for (int64_t s = 0; s < p.s; ++s) plan.remainders.push_back(s * p.dilation_w % p.stride_w);
  sort_unique(plan.remainders);
  plan.x_columns = round_up(plan.steps * bf16_step + (p.s - 1) * p.dilation_w / p.stride_w, bf16_step);
}

void choose_strips(Bf16WeightGradientPlan& plan) {
  GradientTasks& tasks = plan.tasks;
  const int64_t rows = plan.rows, images = plan.p.n;
  const auto bytes = [&](int64_t strip_rows) {
    const auto read = static_cast<int64_t>(plan.rows_read(strip_rows).size());
    return (tasks.c_block * read * plan.remainder_count() * plan.x_columns +
            tasks.k_block * strip_rows * plan.steps * bf16_step) *
           2;
  };
  int64_t height = std::clamp<int64_t>(images * rows * plan.segments / tasks.splits, 1, rows);
  while (height > 1 && bytes(height) > strip_bytes) height = ceil_div(height, 2);
  plan.strip_rows = height;
  plan.strips_per_segment = ceil_div(rows, height);
  plan.strips = images * plan.segments * plan.strips_per_segment;
  tasks.splits = std::min(tasks.splits, plan.strips);
}

}  // namespace

Bf16WeightGradientPlan plan_bf16_weight_gradient(const Conv2dProblem& p, int64_t x_column,
                                                 int64_t dy_column) {
  Bf16WeightGradientPlan plan;
  plan.p = join_images(p);
  plan.rows = plan.p.p();
  plan.columns = plan.p.q();
  plan.x_column = x_column;
  plan.dy_column = dy_column;
  plan.tasks = choose_tasks(plan.p);
  choose_copies(plan);
  choose_strips(plan);
  return plan;
}

Strip Bf16WeightGradientPlan::strip(int64_t index) const {
  const int64_t p_begin = index % strips_per_segment * strip_rows;
  const int64_t q_begin = index / strips_per_segment % segments * segment;
  return {index / strips_per_segment / segments, p_begin, std::min(rows, p_begin + strip_rows), q_begin,
          std::min(columns, q_begin + segment)};
}

std::vector<int64_t> Bf16WeightGradientPlan::rows_read(int64_t output_rows) const {
  return kernels::rows_read(output_rows, p.stride_h, heights);
}

}  // namespace atrous::kernels
