#include "kernels/depthwise_conv2d/depthwise_conv2d.h"

#include <climits>
#include <numeric>

#include "kernels/common/arguments.h"
#include "kernels/common/entry.h"
#include "kernels/depthwise_conv2d/depthwise_conv2d_impl.h"

namespace atrous::kernels {
namespace {

// ---- on GPUs

const char* can_vectorised(const Conv2dProblem& p) {
  if (const char* reason = f32_or_bf16(p)) return reason;
  if (p.k != p.c) return "needs channel multiplier 1";
  if (std::max(p.n * p.h * p.w, p.n * p.p() * p.q()) > INT_MAX) return "2^31 pixels or more";
  return p.r * p.s > 64 ? "the filter has more than 64 taps" : nullptr;
}

// The window holds 3x3 or 5x5 taps and moves by one or two of them.
const char* can_window(const Conv2dProblem& p) {
  if (const char* reason = can_vectorised(p)) return reason;
  if (p.r != p.s || (p.r != 3 && p.r != 5)) return "needs a 3x3 or 5x5 filter";
  return p.stride_w / std::gcd(p.stride_w, p.dilation_w) > 2 ? "neighbouring windows share too little"
                                                             : nullptr;
}
const char* can_window_backward(const Conv2dProblem& p) {
  if (p.stride_h != 1 || p.stride_w != 1) return "needs stride 1";
  return can_window(p);
}

constexpr Entry<Conv2dProblem, DepthwiseForwardFn> forward{
    "depthwise_conv2d.forward",
    {
        ATROUS_ON_GPU("window", can_window, depthwise_forward_window),
        ATROUS_ON_GPU("vectorised", can_vectorised, depthwise_forward_vectorised),
        ATROUS_ON_GPU("naive", f32_or_bf16, depthwise_forward_naive),
        {"vector", Device::cpu, f32_only, depthwise_forward_vector},
        {"ref", Device::cpu, f32_or_f64, depthwise_forward_ref},
    }};
constexpr Entry<Conv2dProblem, DepthwiseBackwardInputFn> backward_input{
    "depthwise_conv2d.backward_input",
    {
        ATROUS_ON_GPU("window", can_window_backward, depthwise_backward_input_window),
        ATROUS_ON_GPU("vectorised", can_vectorised, depthwise_backward_input_vectorised),
        ATROUS_ON_GPU("naive", f32_or_bf16, depthwise_backward_input_naive),
        {"vector", Device::cpu, f32_only, depthwise_backward_input_vector},
        {"ref", Device::cpu, f32_or_f64, depthwise_backward_input_ref},
    }};
constexpr Entry<Conv2dProblem, DepthwiseBackwardWeightFn> backward_weight{
    "depthwise_conv2d.backward_weight",
    {
        ATROUS_ON_GPU("window", can_window, depthwise_backward_weight_window),
        ATROUS_ON_GPU("vectorised", can_vectorised, depthwise_backward_weight_vectorised),
        ATROUS_ON_GPU("naive", f32_or_bf16, depthwise_backward_weight_naive),
        {"vector", Device::cpu, f32_only, depthwise_backward_weight_vector},
        {"ref", Device::cpu, f32_or_f64, depthwise_backward_weight_ref},
    }};

}  // namespace

Conv2dProblem depthwise_conv2d_problem(const char* where, const Shape& input, const Shape& filter,
                                       const DepthwiseConv2dOptions& o, DType dtype) {
  ATROUS_CHECK(
      input.rank() == 4 && filter.rank() == 4 && input[3] >= 1 && filter[3] == 1 && filter[0] % input[3] == 0,
      ErrorKind::usage,
      "[{}] the input is N,H,W,C and the filter C*M,R,S,1 with a whole multiplier M. Got input {}, filter "
      "{}. "
      "For other groupings use conv2d.",
      where, input.str(), filter.str());
  return Conv2dProblem::make(where, input, filter, {o.stride, o.pad, o.dilation, input[3]}, dtype);
}

Tensor depthwise_conv2d(const Tensor& x, const Tensor& w, const Tensor& bias,
                        const DepthwiseConv2dOptions& options, Tensor out) {
  const char* where = "depthwise_conv2d";
  const auto p = depthwise_conv2d_problem(where, x.shape(), w.shape(), options, x.dtype());
  check_tensor(where, "filter", w, p.filter_shape(), p.dtype, p);
  if (bias.defined()) check_tensor(where, "bias", bias, {p.k}, parameter_dtype(p.dtype), p);
  if (out.defined()) {
    check_tensor(where, "out", out, p.output_shape(), p.dtype, p);
    check_disjoint(where, out, x);
  } else {
    out = Tensor::empty(p.output_shape(), p.dtype, x.device());
  }
  forward(p, x, w, bias, writes(out));
  return out;
}

Tensor depthwise_conv2d_backward_input(const Tensor& dy, const Tensor& w,
                                       const DepthwiseConv2dOptions& options, const Shape& input_shape) {
  const char* where = "depthwise_conv2d_backward_input";
  const auto p = depthwise_conv2d_problem(where, input_shape, w.shape(), options, dy.dtype());
  check_tensor(where, "dy", dy, p.output_shape(), p.dtype, p);
  check_tensor(where, "filter", w, p.filter_shape(), p.dtype, p);
  const Tensor dx = Tensor::empty(input_shape, p.dtype, dy.device());
  backward_input(p, dy, w, writes(dx));
  return dx;
}

Tensor depthwise_conv2d_backward_weight(const Tensor& dy, const Tensor& x,
                                        const DepthwiseConv2dOptions& options, const Shape& filter_shape) {
  const char* where = "depthwise_conv2d_backward_weight";
  const auto p = depthwise_conv2d_problem(where, x.shape(), filter_shape, options, x.dtype());
  check_tensor(where, "dy", dy, p.output_shape(), p.dtype, p);
  const Tensor dw = Tensor::empty(filter_shape, parameter_dtype(p.dtype), x.device());
  backward_weight(p, dy, x, writes(dw));
  return dw;
}

EntryList depthwise_conv2d_entries() {
  return {&forward, &backward_input, &backward_weight};
}

}  // namespace atrous::kernels
