// Code shared by the gradients of the filter on CPUs, with f32 and with bf16 factors:
//
//   dw[k,r,s,c] = sum_{n,p,q} dy[n,p,q,k]
//                 * x[n, p*stride_h + r*dilation_h - pad_h, q*stride_w + s*dilation_w - pad_w, c]
//
// A matrix product whose reduction runs over pixels. Plans and executions are of one group.
#pragma once

#include <functional>

#include "kernels/conv2d/conv2d.h"

namespace atrous::kernels {

struct WeightGradientOperands {
  const float *dy, *x;
  float* dw;  // [K,R,S,C], contiguous
};

// The problem of each group: c and k are its channels, groups is 1.
Conv2dProblem group_problem(Conv2dProblem p);
WeightGradientOperands weight_gradient_operands(const Conv2dProblem& p, int64_t group, const Tensor& dy,
                                                const Tensor& x, const Tensor& dw);

// Pixels of dy: rows [p_begin, p_end) of one image, columns [q_begin, q_end).
struct Strip {
  int64_t image, p_begin, p_end, q_begin, q_end;
};

// A task takes blocks of channels of x and of dy and one of `splits` parts of the reduction over pixels.
struct GradientTasks {
  struct Task {
    int64_t split, c_first, c_count, k_first, k_count;
  };

  int64_t c = 1, k = 1;  // channels
  int64_t c_block = 1, k_block = 1, splits = 1;

  int64_t blocks() const;
  int64_t count() const { return splits * blocks(); }
  Task at(int64_t index) const;
};

// The same gradient with all pixels of all images in one row, if the filter sees no rows.
Conv2dProblem join_images(Conv2dProblem p);

// run(task, dw) for all tasks, where dw is the gradient of `size` numbers or, if there are splits, a partial
// one. Those are added in the order of the splits: bit-identical for any number of threads.
void run_gradient_tasks(const GradientTasks& tasks, int64_t size, float* dw,
                        const std::function<void(const GradientTasks::Task&, float*)>& run);

}  // namespace atrous::kernels
