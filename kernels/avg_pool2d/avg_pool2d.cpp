#include "kernels/avg_pool2d/avg_pool2d.h"

#include "kernels/avg_pool2d/avg_pool2d_impl.h"
#include "kernels/common/averaging.h"
#include "kernels/common/dispatch.h"

namespace atrous::kernels {
namespace {

const char* needs_f32(const AvgPool2dProblem& p) {
  return p.pool.dtype == DType::f32 ? nullptr : "takes f32 only";
}

AveragingAxis rows_of(const AvgPool2dProblem& p) {
  const Pool2dOptions& o = p.pool.options;
  return AveragingAxis::windows(p.pool.height, p.pool.out_height, o.kernel_h, o.stride_h, o.pad_h,
                                p.count_include_pad);
}
AveragingAxis cols_of(const AvgPool2dProblem& p) {
  const Pool2dOptions& o = p.pool.options;
  return AveragingAxis::windows(p.pool.width, p.pool.out_width, o.kernel_w, o.stride_w, o.pad_w,
                                p.count_include_pad);
}

void forward_vector(const AvgPool2dProblem& p, const Tensor& x, const Tensor& y) {
  average_forward(rows_of(p), cols_of(p), x, y);
}
void backward_vector(const AvgPool2dProblem& p, const Tensor& dy, const Tensor& dx) {
  average_backward(rows_of(p), cols_of(p), dy, dx);
}

constexpr Implementation<AvgPool2dProblem, AvgPool2dFn> forward_table[] = {
    {"vector", Device::cpu, needs_f32, forward_vector},
    {"ref", Device::cpu, always, avg_pool2d_forward_ref},
};
constexpr Implementation<AvgPool2dProblem, AvgPool2dFn> backward_table[] = {
    {"vector", Device::cpu, needs_f32, backward_vector},
    {"ref", Device::cpu, always, avg_pool2d_backward_ref},
};

}  // namespace

AvgPool2dProblem AvgPool2dProblem::make(const char* where, const Shape& input, DType dtype,
                                        const AvgPool2dOptions& options) {
  const Pool2dOptions& o = options.window;
  ATROUS_CHECK(o.dilation_h == 1 && o.dilation_w == 1, ErrorKind::usage,
               "[{}] windows have no dilation. Got {}x{}. Leave it at 1.", where, o.dilation_h, o.dilation_w);
  return {pool2d_problem(where, input, dtype, o), options.count_include_pad};
}

std::string AvgPool2dProblem::str() const {
  return pool.str() + (count_include_pad ? "" : " exclude_pad");
}

Tensor avg_pool2d(const Tensor& x, const AvgPool2dOptions& options, Tensor out) {
  const auto problem = AvgPool2dProblem::make("avg_pool2d", x.shape(), x.dtype(), options);
  const Tensor y = pool_target("avg_pool2d", std::move(out), problem.pool.output_shape(), x);
  dispatch("avg_pool2d", "avg_pool2d.forward", forward_table, problem, {y}, x, y);
  return y;
}

Tensor avg_pool2d_backward(const Tensor& dy, const AvgPool2dOptions& options, const Shape& input_shape) {
  const char* where = "avg_pool2d backward";
  const auto problem = AvgPool2dProblem::make(where, input_shape, dy.dtype(), options);
  check_tensor(where, "output gradient", dy, problem.pool.output_shape(), dy.dtype());
  const Tensor dx = Tensor::empty(input_shape, dy.dtype(), dy.device());
  dispatch("avg_pool2d", "avg_pool2d.backward", backward_table, problem, {dx}, dy, dx);
  return dx;
}

std::vector<std::string> avg_pool2d_candidates(std::string_view entry, const AvgPool2dProblem& problem,
                                               Device device) {
  if (entry == "forward") return candidates(forward_table, problem, device);
  if (entry == "backward") return candidates(backward_table, problem, device);
  unknown_entry("avg_pool2d", entry);
}

}  // namespace atrous::kernels
