#include "kernels/depthwise_conv2d/depthwise_conv2d.h"

#include <climits>
#include <numeric>

#include "kernels/common/arguments.h"
#include "kernels/common/dispatch.h"
#include "kernels/depthwise_conv2d/depthwise_conv2d_impl.h"

namespace atrous::kernels {
namespace {

const char* needs_f32(const Conv2dProblem& p) {
  return p.dtype == DType::f32 ? nullptr : "takes f32 only";
}

// ---- on GPUs

const char* why_not_vectorised(const Conv2dProblem& p) {
  if (const char* reason = why_not_f64(p)) return reason;
  if (p.k != p.c) return "needs channel multiplier 1";
  if (std::max(p.n * p.h * p.w, p.n * p.p() * p.q()) > INT_MAX) return "2^31 pixels or more";
  return p.r * p.s > 64 ? "the filter has more than 64 taps" : nullptr;
}

// The window holds 3x3 or 5x5 taps and moves by one or two of them.
const char* why_not_window(const Conv2dProblem& p) {
  if (const char* reason = why_not_vectorised(p)) return reason;
  if (p.r != p.s || (p.r != 3 && p.r != 5)) return "needs a 3x3 or 5x5 filter";
  return p.stride_w / std::gcd(p.stride_w, p.dilation_w) > 2 ? "neighbouring windows share too little"
                                                             : nullptr;
}
const char* why_not_window_backward(const Conv2dProblem& p) {
  if (p.stride_h != 1 || p.stride_w != 1) return "needs stride 1";
  return why_not_window(p);
}

constexpr Implementation<Conv2dProblem, DepthwiseForwardFn> forward_table[] = {
    ATROUS_ON_GPU("window", why_not_window, depthwise_forward_window),
    ATROUS_ON_GPU("vectorised", why_not_vectorised, depthwise_forward_vectorised),
    ATROUS_ON_GPU("naive", why_not_f64, depthwise_forward_naive),
    {"vector", Device::cpu, needs_f32, depthwise_forward_vector},
    {"ref", Device::cpu, why_not_bf16, depthwise_forward_ref},
};
constexpr Implementation<Conv2dProblem, DepthwiseBackwardInputFn> backward_input_table[] = {
    ATROUS_ON_GPU("window", why_not_window_backward, depthwise_backward_input_window),
    ATROUS_ON_GPU("vectorised", why_not_vectorised, depthwise_backward_input_vectorised),
    ATROUS_ON_GPU("naive", why_not_f64, depthwise_backward_input_naive),
    {"vector", Device::cpu, needs_f32, depthwise_backward_input_vector},
    {"ref", Device::cpu, why_not_bf16, depthwise_backward_input_ref},
};
constexpr Implementation<Conv2dProblem, DepthwiseBackwardWeightFn> backward_weight_table[] = {
    ATROUS_ON_GPU("window", why_not_window, depthwise_backward_weight_window),
    ATROUS_ON_GPU("vectorised", why_not_vectorised, depthwise_backward_weight_vectorised),
    ATROUS_ON_GPU("naive", why_not_f64, depthwise_backward_weight_naive),
    {"vector", Device::cpu, needs_f32, depthwise_backward_weight_vector},
    {"ref", Device::cpu, why_not_bf16, depthwise_backward_weight_ref},
};

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
  check_same_device(where, {x, w, bias, out});
  if (out.defined()) {
    check_tensor(where, "out", out, p.output_shape(), p.dtype, p);
    check_disjoint(where, out, x);
    out.bump_version();
  } else {
    out = Tensor::empty(p.output_shape(), p.dtype, x.device());
  }
  dispatch("depthwise_conv2d", "depthwise_conv2d.forward", forward_table, p, {out}, x, w, bias, out);
  return out;
}

Tensor depthwise_conv2d_backward_input(const Tensor& dy, const Tensor& w,
                                       const DepthwiseConv2dOptions& options, const Shape& input_shape) {
  const char* where = "depthwise_conv2d_backward_input";
  const auto p = depthwise_conv2d_problem(where, input_shape, w.shape(), options, dy.dtype());
  check_tensor(where, "dy", dy, p.output_shape(), p.dtype, p);
  check_tensor(where, "filter", w, p.filter_shape(), p.dtype, p);
  check_same_device(where, {dy, w});
  const Tensor dx = Tensor::empty(input_shape, p.dtype, dy.device());
  dispatch("depthwise_conv2d", "depthwise_conv2d.backward_input", backward_input_table, p, {dx}, dy, w, dx);
  return dx;
}

Tensor depthwise_conv2d_backward_weight(const Tensor& dy, const Tensor& x,
                                        const DepthwiseConv2dOptions& options, const Shape& filter_shape) {
  const char* where = "depthwise_conv2d_backward_weight";
  const auto p = depthwise_conv2d_problem(where, x.shape(), filter_shape, options, x.dtype());
  check_tensor(where, "dy", dy, p.output_shape(), p.dtype, p);
  check_same_device(where, {dy, x});
  const Tensor dw = Tensor::empty(filter_shape, parameter_dtype(p.dtype), x.device());
  dispatch("depthwise_conv2d", "depthwise_conv2d.backward_weight", backward_weight_table, p, {dw}, dy, x, dw);
  return dw;
}

std::vector<std::string> depthwise_conv2d_candidates(std::string_view entry, const Conv2dProblem& problem,
                                                     Device device) {
  if (entry == "forward") return candidates(forward_table, problem, device);
  if (entry == "backward_input") return candidates(backward_input_table, problem, device);
  if (entry == "backward_weight") return candidates(backward_weight_table, problem, device);
  unknown_entry("depthwise_conv2d", entry);
}

}  // namespace atrous::kernels
