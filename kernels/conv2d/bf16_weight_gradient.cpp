#include "kernels/conv2d/bf16_weight_gradient.h"

#include <algorithm>

#include "kernels/common/ceil_div.h"
#include "kernels/conv2d/bf16_blocks.h"

namespace atrous::kernels {
namespace {

// One task: its arguments, and its copies and sums.
class TaskRun {
 public:
  TaskRun(const Bf16WeightGradientPlan& plan, const WeightGradientOperands& operands,
          const Bf16Kernels& kernels, const GradientTasks::Task& task)
      : plan_(plan),
        p_(plan.p),
        kernels_(kernels),
        task_(task),
        x_{operands.x + task.c_first, plan.p.h, plan.p.w, plan.x_column},
        dy_{operands.dy + task.k_first, plan.rows, plan.columns, plan.dy_column},
        c_rounded_(round_up(task.c_count, bf16_lanes)),
        k_rounded_(round_up(task.k_count, bf16_lanes)) {
    const auto read = static_cast<int64_t>(plan.rows_read(plan.strip_rows).size());
    // An odd number of cache lines: powers of two would meet in few sets of the first-level cache.
    x_stride_ = (read * plan.remainder_count() * plan.x_columns / bf16_step | 1) * bf16_step;
    x_copy_ = Bf16Buffer(c_rounded_ * x_stride_);
    dy_copy_ = Bf16Buffer(ceil_div(k_rounded_, bf16_panel) * plan.strip_rows * plan.steps * 2 * bf16_block);
    sums_ = FloatBuffer(p_.r * p_.s * tap_size());
    std::fill_n(sums_.data(), p_.r * p_.s * tap_size(), 0.0f);
  }

  void run(float* dw) {
    const Bf16Session session(kernels_);
    for (int64_t i = plan_.first_strip(task_.split); i < plan_.first_strip(task_.split + 1); ++i) {
      const Strip strip = plan_.strip(i);
      copy_x(strip);
      copy_dy(strip);
      for (int64_t tap = 0; tap < p_.r * p_.s; ++tap) add_tap(strip, tap);
    }
    for (int64_t tap = 0; tap < p_.r * p_.s; ++tap) {
      for (int64_t c = 0; c < task_.c_count; c += bf16_lanes) {
        for (int64_t k = 0; k < task_.k_count; k += bf16_lanes) {
          transpose_f32(sums_.data() + tap * tap_size() + c * k_rounded_ + k, k_rounded_,
                        std::min(bf16_lanes, task_.c_count - c), std::min(bf16_lanes, task_.k_count - k),
                        dw + ((task_.k_first + k) * p_.r * p_.s + tap) * p_.c + task_.c_first + c,
                        p_.r * p_.s * p_.c);
        }
      }
    }
  }

 private:
  int64_t tap_size() const { return c_rounded_ * k_rounded_; }
  int64_t vectors(int64_t panel) const { return task_.k_count - panel * bf16_panel > bf16_lanes ? 2 : 1; }

  void copy_x(const Strip& strip) {
    const std::vector<int64_t> read = plan_.rows_read(strip.p_end - strip.p_begin);
    const int64_t first_h = strip.p_begin * p_.stride_h - p_.pad_h, remainders = plan_.remainder_count();
    slot_.assign(static_cast<size_t>(read.back() + 1), -1);
    int64_t slot = 0;
    for (const int64_t distance : read) {
      const int64_t h = first_h + distance;
      if (h < 0 || h >= p_.h) continue;
      slot_[static_cast<size_t>(distance)] = slot;
      for (int64_t i = 0; i < remainders; ++i) {
        uint16_t* to = x_copy_.data() + (slot * remainders + i) * plan_.x_columns;
        const int64_t first_column =
            strip.q_begin * p_.stride_w - p_.pad_w + plan_.remainders[static_cast<size_t>(i)];
        for (int64_t j = 0; j < plan_.x_columns; j += bf16_step)
          copy_columns(x_.row(strip.image, h), first_column + j * p_.stride_w, to + j);
      }
      ++slot;
    }
  }

  // 32 columns of x from `column` on, all channels of the block.
  void copy_columns(const float* row, int64_t column, uint16_t* to) const {
    const int64_t first =
        std::clamp<int64_t>(ceil_div(std::max<int64_t>(-column, 0), p_.stride_w), 0, bf16_step);
    const int64_t last =
        std::clamp<int64_t>(ceil_div(std::max<int64_t>(p_.w - column, 0), p_.stride_w), first, bf16_step);
    for (int64_t c = 0; c < task_.c_count; c += bf16_lanes) {
      rows_transposed(row + column * x_.pixel_stride + c, p_.stride_w * x_.pixel_stride, first, last,
                      task_.c_count - c, to + c * x_stride_, x_stride_);
    }
  }

  void copy_dy(const Strip& strip) const {
    for (int64_t p = strip.p_begin; p < strip.p_end; ++p) {
      for (int64_t k = 0; k < task_.k_count; k += bf16_lanes) {
        const int64_t panel = k / bf16_panel;
        const float* from = dy_.row(strip.image, p) + strip.q_begin * dy_.pixel_stride + k;
        uint16_t* to = dy_panel(strip, panel, p) + k % bf16_panel / bf16_lanes * bf16_block;
        for (int64_t step = 0; step < plan_.steps; ++step) {
          block_of_reduction(from + step * bf16_step * dy_.pixel_stride, dy_.pixel_stride,
                             strip.q_end - strip.q_begin - step * bf16_step, task_.k_count - k,
                             to + step * vectors(panel) * bf16_block);
        }
      }
    }
  }

  uint16_t* dy_panel(const Strip& strip, int64_t panel, int64_t p) const {
    const int64_t row = p - strip.p_begin;
    return dy_copy_.data() + (panel * plan_.strip_rows * 2 + row * vectors(panel)) * plan_.steps * bf16_block;
  }

  // Adds a strip to the sums of one tap, [c][k].
  void add_tap(const Strip& strip, int64_t tap) {
    const int64_t r = tap / p_.s, s = tap % p_.s * p_.dilation_w;
    const auto remainder = std::find(plan_.remainders.begin(), plan_.remainders.end(), s % p_.stride_w) -
                           plan_.remainders.begin();
    // Taps that meet only padding, as those of large rates do.
    const int64_t first_column = strip.q_begin * p_.stride_w + s - p_.pad_w;
    if (first_column >= p_.w || first_column + (strip.q_end - strip.q_begin - 1) * p_.stride_w < 0) return;
    for (int64_t k = 0; k < task_.k_count; k += bf16_panel) {
      const int64_t panel = k / bf16_panel;
      runs_.clear();
      for (int64_t p = strip.p_begin; p < strip.p_end; ++p) {
        const int64_t slot =
            slot_[static_cast<size_t>((p - strip.p_begin) * p_.stride_h + r * p_.dilation_h)];
        if (slot < 0) continue;
        const uint16_t* a =
            x_copy_.data() + (slot * plan_.remainder_count() + remainder) * plan_.x_columns + s / p_.stride_w;
        runs_.push_back({{a, a + bf16_lanes * x_stride_}, dy_panel(strip, panel, p), plan_.steps});
      }
      if (runs_.empty()) return;
      for (int64_t c = 0; c < task_.c_count; c += 2 * bf16_lanes) {
        float* to = sums_.data() + tap * tap_size() + c * k_rounded_ + k;
        kernels_.multiply(
            {runs_.data(), static_cast<int64_t>(runs_.size()), x_stride_, to, k_rounded_, to, k_rounded_},
            task_.c_count - c > bf16_lanes ? 2 : 1, vectors(panel));
        for (Bf16Run& run : runs_) {
          for (const uint16_t*& a : run.a) a += 2 * bf16_lanes * x_stride_;
        }
      }
    }
  }

  const Bf16WeightGradientPlan& plan_;
  const Conv2dProblem& p_;
  const Bf16Kernels& kernels_;
  const GradientTasks::Task task_;
  const Grid x_, dy_;  // from the task's first channels on
  const int64_t c_rounded_, k_rounded_;
  int64_t x_stride_ = 0;       // between rows of the copy of x
  Bf16Buffer x_copy_;          // [c][row read][remainder][column]
  Bf16Buffer dy_copy_;         // [panel of 32][row][step][vector][16 pairs][16][2]
  std::vector<int64_t> slot_;  // of a row of x by its distance from the first: its index in the copy, or -1
  FloatBuffer sums_;           // [tap][c][k], both rounded up to whole vectors
  std::vector<Bf16Run> runs_;
};

}  // namespace

void execute(const Bf16WeightGradientPlan& plan, const WeightGradientOperands& operands,
             const Bf16Kernels& kernels) {
  run_gradient_tasks(
      plan.tasks, plan.p.k * plan.p.r * plan.p.s * plan.p.c, operands.dw,
      [&](const GradientTasks::Task& task, float* dw) { TaskRun(plan, operands, kernels, task).run(dw); });
}

}  // namespace atrous::kernels
