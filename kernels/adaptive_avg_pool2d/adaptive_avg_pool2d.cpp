#include "kernels/adaptive_avg_pool2d/adaptive_avg_pool2d.h"

#include "kernels/adaptive_avg_pool2d/adaptive_avg_pool2d_impl.h"
#include "kernels/common/averaging.h"
#include "kernels/common/entry.h"
#include "kernels/common/pool2d.h"

namespace atrous::kernels {
namespace {

const char* f32_only(const AdaptiveAvgPool2dProblem& p) {
  return p.dtype == DType::f32 ? nullptr : "takes f32 only";
}
const char* f32_or_bf16(const AdaptiveAvgPool2dProblem& p) {
  return p.dtype == DType::f64 ? "takes f32 and bf16 only" : nullptr;
}
const char* needs_large(const AdaptiveAvgPool2dProblem& p) {
  const char* reason = needs_large_averages(p.rows(), p.cols());
  return reason ? reason : f32_or_bf16(p);
}

void forward_vector(const AdaptiveAvgPool2dProblem& p, const Tensor& x, const Tensor& y) {
  average_forward(p.rows(), p.cols(), x, y);
}
void backward_vector(const AdaptiveAvgPool2dProblem& p, const Tensor& dy, const Tensor& dx) {
  average_backward(p.rows(), p.cols(), dy, dx);
}

Reach::Axis taps_of(const AveragingAxis& axis) {
  return [axis](int64_t o) { return Taps{axis.inputs(o).begin, axis.inputs(o).size(), 1}; };
}

Reach reach_of(const AdaptiveAvgPool2dProblem& p) {
  return p.out_height == 1 && p.out_width == 1 ? Reach::whole()
                                               : Reach::axes(taps_of(p.rows()), taps_of(p.cols()));
}

constexpr Entry<AdaptiveAvgPool2dProblem, AdaptiveAvgPool2dFn> forward{
    "adaptive_avg_pool2d.forward",
    {
        ATROUS_ON_GPU("shared", needs_large, adaptive_avg_pool2d_forward_shared),
        ATROUS_ON_GPU("vectorised", f32_or_bf16, adaptive_avg_pool2d_forward_vectorised),
        ATROUS_ON_GPU("naive", f32_or_bf16, adaptive_avg_pool2d_forward_naive),
        {"vector", Device::cpu, f32_only, forward_vector},
        {"ref", Device::cpu, f32_or_f64, adaptive_avg_pool2d_forward_ref},
    },
    reach_of};
constexpr Entry<AdaptiveAvgPool2dProblem, AdaptiveAvgPool2dFn> backward{
    "adaptive_avg_pool2d.backward",
    {
        ATROUS_ON_GPU("vectorised", f32_or_bf16, adaptive_avg_pool2d_backward_vectorised),
        ATROUS_ON_GPU("naive", f32_or_bf16, adaptive_avg_pool2d_backward_naive),
        {"vector", Device::cpu, f32_only, backward_vector},
        {"ref", Device::cpu, f32_or_f64, adaptive_avg_pool2d_backward_ref},
    }};

}  // namespace

AdaptiveAvgPool2dProblem AdaptiveAvgPool2dProblem::make(const char* where, const Shape& input, DType dtype,
                                                        int64_t out_height, int64_t out_width) {
  check_pool_input(where, input, dtype);
  ATROUS_CHECK(out_height >= 1 && out_width >= 1, ErrorKind::usage,
               "[{}] the output size must be positive. Got {}x{}.", where, out_height, out_width);
  return {input[0], input[1], input[2], input[3], out_height, out_width, dtype};
}

std::string AdaptiveAvgPool2dProblem::str() const {
  return fmt::format("n{} h{} w{} c{} to {}x{} {}", batch, height, width, channels, out_height, out_width,
                     name_of(dtype));
}

Tensor adaptive_avg_pool2d(const Tensor& x, int64_t out_height, int64_t out_width, Tensor out) {
  const char* where = "adaptive_avg_pool2d";
  const auto problem = AdaptiveAvgPool2dProblem::make(where, x.shape(), x.dtype(), out_height, out_width);
  const Tensor y = pool_target(where, std::move(out), problem.output_shape(), x);
  forward(problem, x, writes(y));
  return y;
}

Tensor adaptive_avg_pool2d_backward(const Tensor& dy, const Shape& input_shape) {
  const char* where = "adaptive_avg_pool2d backward";
  check_pool_input(where, dy.shape(), dy.dtype());
  const auto problem = AdaptiveAvgPool2dProblem::make(where, input_shape, dy.dtype(), dy.dim(1), dy.dim(2));
  check_tensor(where, "output gradient", dy, problem.output_shape(), dy.dtype());
  const Tensor dx = Tensor::empty(input_shape, dy.dtype(), dy.device());
  backward(problem, dy, writes(dx));
  return dx;
}

EntryList adaptive_avg_pool2d_entries() {
  return {&forward, &backward};
}

}  // namespace atrous::kernels
