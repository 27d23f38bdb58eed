#include "kernels/avg_pool2d/avg_pool2d.h"

#include "kernels/avg_pool2d/avg_pool2d_impl.h"
#include "kernels/common/averaging.h"
#include "kernels/common/entry.h"

namespace atrous::kernels {
namespace {

constexpr auto on_gpu = of<&AvgPool2dProblem::pool, f32_or_bf16>;
constexpr auto on_cpu = of<&AvgPool2dProblem::pool, f32_only>;
constexpr auto in_reference = of<&AvgPool2dProblem::pool, f32_or_f64>;
const char* needs_large(const AvgPool2dProblem& p) {
  const char* reason = needs_large_averages(p.rows(), p.cols());
  return reason ? reason : on_gpu(p);
}

void forward_vector(const AvgPool2dProblem& p, const Tensor& x, const Tensor& y) {
  average_forward(p.rows(), p.cols(), x, y);
}
void backward_vector(const AvgPool2dProblem& p, const Tensor& dy, const Tensor& dx) {
  average_backward(p.rows(), p.cols(), dy, dx);
}

Reach reach_of(const AvgPool2dProblem& p) {
  const Pool2dOptions& o = p.pool.options;
  return Reach::axes(window_taps(o.kernel_h, o.stride_h, o.pad_h, 1),
                     window_taps(o.kernel_w, o.stride_w, o.pad_w, 1));
}

constexpr Entry<AvgPool2dProblem, AvgPool2dFn> forward{
    "avg_pool2d.forward",
    {
        ATROUS_ON_GPU("shared", needs_large, avg_pool2d_forward_shared),
        ATROUS_ON_GPU("vectorised", on_gpu, avg_pool2d_forward_vectorised),
        ATROUS_ON_GPU("naive", on_gpu, avg_pool2d_forward_naive),
        {"vector", Device::cpu, on_cpu, forward_vector},
        {"ref", Device::cpu, in_reference, avg_pool2d_forward_ref},
    },
    reach_of};
constexpr Entry<AvgPool2dProblem, AvgPool2dFn> backward{
    "avg_pool2d.backward",
    {
        ATROUS_ON_GPU("vectorised", on_gpu, avg_pool2d_backward_vectorised),
        ATROUS_ON_GPU("naive", on_gpu, avg_pool2d_backward_naive),
        {"vector", Device::cpu, on_cpu, backward_vector},
        {"ref", Device::cpu, in_reference, avg_pool2d_backward_ref},
    }};

}  // namespace

AvgPool2dProblem AvgPool2dProblem::make(const char* where, const Shape& input, DType dtype,
                                        const AvgPool2dOptions& options) {
  const Pool2dOptions& o = options.window;
  ATROUS_CHECK(o.dilation_h == 1 && o.dilation_w == 1, ErrorKind::usage,
               "[{}] windows have no dilation. Got {}x{}. Leave it at 1.", where, o.dilation_h, o.dilation_w);
  return {pool2d_problem(where, input, dtype, o), options.count_include_pad};
}

AveragingAxis AvgPool2dProblem::rows() const {
  const Pool2dOptions& o = pool.options;
  return AveragingAxis::windows(pool.height, pool.out_height, o.kernel_h, o.stride_h, o.pad_h,
                                count_include_pad);
}

AveragingAxis AvgPool2dProblem::cols() const {
  const Pool2dOptions& o = pool.options;
  return AveragingAxis::windows(pool.width, pool.out_width, o.kernel_w, o.stride_w, o.pad_w,
                                count_include_pad);
}

std::string AvgPool2dProblem::str() const {
  return pool.str() + (count_include_pad ? "" : " exclude_pad");
}

Tensor avg_pool2d(const Tensor& x, const AvgPool2dOptions& options, Tensor out) {
  const auto problem = AvgPool2dProblem::make("avg_pool2d", x.shape(), x.dtype(), options);
  const Tensor y = pool_target("avg_pool2d", std::move(out), problem.pool.output_shape(), x);
  forward(problem, x, writes(y));
  return y;
}

Tensor avg_pool2d_backward(const Tensor& dy, const AvgPool2dOptions& options, const Shape& input_shape) {
  const char* where = "avg_pool2d backward";
  const auto problem = AvgPool2dProblem::make(where, input_shape, dy.dtype(), options);
  check_tensor(where, "output gradient", dy, problem.pool.output_shape(), dy.dtype());
  const Tensor dx = Tensor::empty(input_shape, dy.dtype(), dy.device());
  backward(problem, dy, writes(dx));
  return dx;
}

EntryList avg_pool2d_entries() {
  return {&forward, &backward};
}

}  // namespace atrous::kernels
