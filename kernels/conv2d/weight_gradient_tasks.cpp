#include "kernels/conv2d/weight_gradient_tasks.h"

#include <algorithm>

#include "core/cpu.h"
#include "core/parallel.h"
#include "kernels/common/ceil_div.h"
#include "kernels/conv2d/rows.h"
#include "kernels/conv2d/taps.h"

namespace atrous::kernels {
namespace {

ATROUS_MULTIVERSION void add_to(float* to, const float* from, int64_t count) {
  for (int64_t i = 0; i < count; ++i) to[i] += from[i];
}

}  // namespace

Conv2dProblem group_problem(Conv2dProblem p) {
  p.c /= p.groups;
  p.k /= p.groups;
  p.groups = 1;
  return p;
}

WeightGradientOperands weight_gradient_operands(const Conv2dProblem& p, int64_t group, const Tensor& dy,
                                                const Tensor& x, const Tensor& dw) {
  const int64_t c = p.c / p.groups, k = p.k / p.groups;
  return {dy.data<float>() + group * k, x.data<float>() + group * c,
          dw.data<float>() + group * k * p.r * p.s * c};
}

int64_t GradientTasks::blocks() const {
  return ceil_div(c, c_block) * ceil_div(k, k_block);
}

GradientTasks::Task GradientTasks::at(int64_t index) const {
  const int64_t c_blocks = ceil_div(c, c_block), k_blocks = ceil_div(k, k_block);
  const int64_t c_first = index / k_blocks % c_blocks * c_block, k_first = index % k_blocks * k_block;
  return {index / (c_blocks * k_blocks), c_first, std::min(c_block, c - c_first), k_first,
          std::min(k_block, k - k_first)};
}

Conv2dProblem join_images(Conv2dProblem p) {
  if (!is_pointwise(forward_taps(p), p.stride_h, p.stride_w)) return p;
  p.w *= p.n * p.h;
  p.n = p.h = 1;
  return p;
}

void run_gradient_tasks(const GradientTasks& tasks, int64_t size, float* dw,
                        const std::function<void(const GradientTasks::Task&, float*)>& run) {
  FloatBuffer partial;
  if (tasks.splits > 1) partial = FloatBuffer(tasks.splits * size);
  parallel_for(tasks.count(), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const GradientTasks::Task task = tasks.at(i);
      run(task, tasks.splits > 1 ? partial.data() + task.split * size : dw);
    }
  });
  if (tasks.splits == 1) return;
  parallel_for(size, 1 << 12, [&](int64_t begin, int64_t end) {
    std::copy_n(partial.data() + begin, end - begin, dw + begin);
    for (int64_t split = 1; split < tasks.splits; ++split)
      add_to(dw + begin, partial.data() + split * size + begin, end - begin);
  });
}

}  // namespace atrous::kernels
