// Implementations of softmax; softmax.cpp lists them.
#pragma once

#include "kernels/gpu/declare.h"
#include "kernels/softmax/softmax.h"

namespace atrous::kernels::softmax_impl {

using ForwardFn = void(const SoftmaxProblem&, const Tensor& x, const Tensor& y);
using BackwardFn = void(const SoftmaxProblem&, const Tensor& y, const Tensor& dy, const Tensor& dx);
ForwardFn forward_ref, forward_portable, forward_avx2, forward_avx512;
BackwardFn backward_ref, backward_portable, backward_avx2, backward_avx512;
ATROUS_DECLARE_ON_GPU(ForwardFn forward_naive, forward_warp, forward_registers, forward_staged;
                      BackwardFn backward_naive, backward_warp, backward_registers, backward_staged;)
// Most channels of the last two.
constexpr int64_t most_in_registers = 32, most_staged = 95, most_staged_backward = 47;

// A run of pixels for the per-instruction-set files; strides are floats between pixels, results are dense.
struct ForwardRun {
  const float* x;
  int64_t stride;
  float* y;
  int64_t channels;
  int64_t count;
  bool log;
};
struct BackwardRun {
  const float* y;
  int64_t y_stride;
  const float* dy;
  int64_t dy_stride;
  float* dx;
  int64_t channels;
  int64_t count;
  bool log;
};
void forward_run_portable(const ForwardRun& run);
void forward_run_avx2(const ForwardRun& run);
void forward_run_avx512(const ForwardRun& run);
void backward_run_portable(const BackwardRun& run);
void backward_run_avx2(const BackwardRun& run);
void backward_run_avx512(const BackwardRun& run);

}  // namespace atrous::kernels::softmax_impl
