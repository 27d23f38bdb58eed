// Splits the pixels into runs for the vector kernels.
#include <algorithm>

#include "core/parallel.h"
#include "kernels/softmax/softmax_lanes.h"

namespace atrous::kernels::softmax_impl {
namespace {

int64_t pixels_per_run(const SoftmaxProblem& p) {
  return std::max<int64_t>(1, (1 << 15) / p.channels);
}

void forward_with(void (*kernel)(const ForwardRun&), const SoftmaxProblem& p, const Tensor& x,
                  const Tensor& y) {
  parallel_for(p.pixels, pixels_per_run(p), [&](int64_t begin, int64_t end) {
    kernel({x.data<float>() + begin * x.pixel_stride(), x.pixel_stride(),
            y.data<float>() + begin * p.channels, p.channels, end - begin, p.log});
  });
}

void backward_with(void (*kernel)(const BackwardRun&), const SoftmaxProblem& p, const Tensor& y,
                   const Tensor& dy, const Tensor& dx) {
  parallel_for(p.pixels, pixels_per_run(p), [&](int64_t begin, int64_t end) {
    kernel({y.data<float>() + begin * y.pixel_stride(), y.pixel_stride(),
            dy.data<float>() + begin * dy.pixel_stride(), dy.pixel_stride(),
            dx.data<float>() + begin * p.channels, p.channels, end - begin, p.log});
  });
}

}  // namespace

void forward_run_portable(const ForwardRun& run) {
  forward_any<4>(run);
}
void backward_run_portable(const BackwardRun& run) {
  backward_any<4>(run);
}

void forward_portable(const SoftmaxProblem& p, const Tensor& x, const Tensor& y) {
  forward_with(forward_run_portable, p, x, y);
}
void forward_avx2(const SoftmaxProblem& p, const Tensor& x, const Tensor& y) {
  forward_with(forward_run_avx2, p, x, y);
}
void forward_avx512(const SoftmaxProblem& p, const Tensor& x, const Tensor& y) {
  forward_with(forward_run_avx512, p, x, y);
}
void backward_portable(const SoftmaxProblem& p, const Tensor& y, const Tensor& dy, const Tensor& dx) {
  backward_with(backward_run_portable, p, y, dy, dx);
}
void backward_avx2(const SoftmaxProblem& p, const Tensor& y, const Tensor& dy, const Tensor& dx) {
  backward_with(backward_run_avx2, p, y, dy, dx);
}
void backward_avx512(const SoftmaxProblem& p, const Tensor& y, const Tensor& dy, const Tensor& dx) {
  backward_with(backward_run_avx512, p, y, dy, dx);
}

}  // namespace atrous::kernels::softmax_impl
