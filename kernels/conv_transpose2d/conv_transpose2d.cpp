#include "kernels/conv_transpose2d/conv_transpose2d.h"

#include <algorithm>
#include <climits>

#include "kernels/common/arguments.h"
#include "kernels/common/entry.h"
#include "kernels/conv_transpose2d/conv_transpose2d_impl.h"

namespace atrous::kernels {
namespace {

// Every pass of a transposed convolution is a pass of the convolution with the roles of x and y swapped. Its
// kernels split strided input gradients into dense phases, so U-Net's 2x2 stride 2 needs no separate kernel
// on the CPU: one product over [K, R*S*C] and an unfolding copy was measured and is no faster forward, and
// slower in both gradients.
void forward_conv2d(const ConvTranspose2dProblem& p, const Tensor& x, const Tensor& w, const Tensor& bias,
                    const Tensor& y) {
  conv2d_backward_input(x, w, p.conv_options(), p.output_shape(), y, bias);
}
void backward_input_conv2d(const ConvTranspose2dProblem& p, const Tensor& dy, const Tensor& w,
                           const Tensor& dx) {
  conv2d(dy, w, p.conv_options(), {}, dx);
}
void backward_weight_conv2d(const ConvTranspose2dProblem& p, const Tensor& dy, const Tensor& x,
                            const Tensor& dw) {
  dw.copy_from(conv2d_backward_weight(x, dy, p.conv_options(), p.conv.filter_shape()));
}

// Patches of y that tile it.
const char* can_patches(const ConvTranspose2dProblem& problem) {
  const Conv2dProblem& p = problem.conv;
  if (const char* reason = f32_or_bf16(p)) return reason;
  if (p.r != p.stride_h || p.s != p.stride_w || p.h != p.p() * p.r || p.w != p.q() * p.s || p.pad_h != 0 ||
      p.pad_w != 0 || p.groups != 1 || (p.r > 1 && p.dilation_h > 1) || (p.s > 1 && p.dilation_w > 1)) {
    return "needs kernel == stride without padding, gaps or groups";
  }
  return std::max(p.n * p.p() * p.q(), p.k * p.r * p.s * p.c) > INT_MAX ? "2^31 pixels or weights" : nullptr;
}
// Tensor cores, which conv2d has in bf16 and where tf32 is allowed, outweigh reading x once.
bool prefers_patches(const ConvTranspose2dProblem& p) {
  return p.conv.dtype != DType::bf16 && !p.conv.math.tf32;
}
constexpr auto on_gpu = of<&ConvTranspose2dProblem::conv, f32_or_bf16>;
constexpr auto on_cpu = of<&ConvTranspose2dProblem::conv, f32_or_f64>;
constexpr Traits<ConvTranspose2dProblem> by_conv2d{.accuracy = Accuracy::inherited};

Reach reach_of(const ConvTranspose2dProblem& problem) {
  const Conv2dProblem& p = problem.conv;
  return Reach::axes(transposed_taps(p.r, p.stride_h, p.pad_h, p.dilation_h),
                     transposed_taps(p.s, p.stride_w, p.pad_w, p.dilation_w));
}

constexpr Entry<ConvTranspose2dProblem, ConvTranspose2dForwardFn> forward{
    "conv_transpose2d.forward",
    {
        ATROUS_ON_GPU("patches", can_patches, conv_transpose2d_forward_patches, {.prefers = prefers_patches}),
        {"conv2d", Device::cuda, on_gpu, forward_conv2d, by_conv2d},
        {"conv2d", Device::sim, on_gpu, forward_conv2d, by_conv2d},
        {"conv2d", Device::cpu, on_cpu, forward_conv2d, by_conv2d},
        {"ref", Device::cpu, on_cpu, conv_transpose2d_forward_ref},
    },
    reach_of};
constexpr Entry<ConvTranspose2dProblem, ConvTranspose2dBackwardInputFn> backward_input{
    "conv_transpose2d.backward_input",
    {
        ATROUS_ON_GPU("patches", can_patches, conv_transpose2d_backward_input_patches,
                      {.prefers = prefers_patches}),
        {"conv2d", Device::cuda, on_gpu, backward_input_conv2d, by_conv2d},
        {"conv2d", Device::sim, on_gpu, backward_input_conv2d, by_conv2d},
        {"conv2d", Device::cpu, on_cpu, backward_input_conv2d, by_conv2d},
        {"ref", Device::cpu, on_cpu, conv_transpose2d_backward_input_ref},
    }};
constexpr Entry<ConvTranspose2dProblem, ConvTranspose2dBackwardWeightFn> backward_weight{
    "conv_transpose2d.backward_weight",
    {
        ATROUS_ON_GPU("patches", can_patches, conv_transpose2d_backward_weight_patches,
                      {.prefers = prefers_patches}),
        {"conv2d", Device::cuda, on_gpu, backward_weight_conv2d, by_conv2d},
        {"conv2d", Device::sim, on_gpu, backward_weight_conv2d, by_conv2d},
        {"conv2d", Device::cpu, on_cpu, backward_weight_conv2d, by_conv2d},
        {"ref", Device::cpu, on_cpu, conv_transpose2d_backward_weight_ref},
    }};

int64_t output_size(int64_t in, int64_t taps, int64_t stride, int64_t pad, int64_t dilation,
                    int64_t output_padding) {
  return (in - 1) * stride - 2 * pad + dilation * (taps - 1) + 1 + output_padding;
}

}  // namespace

Conv2dOptions ConvTranspose2dProblem::conv_options() const {
  return {{conv.stride_h, conv.stride_w},
          {conv.pad_h, conv.pad_w},
          {conv.dilation_h, conv.dilation_w},
          conv.groups,
          conv.math};
}

std::string ConvTranspose2dProblem::str() const {
  return "transposed " + conv.str();
}

ConvTranspose2dProblem ConvTranspose2dProblem::make(const char* where, const Shape& input,
                                                    const Shape& filter, const ConvTranspose2dOptions& o,
                                                    DType dtype) {
  ATROUS_CHECK(
      input.rank() == 4 && filter.rank() == 4 && input[3] == filter[0], ErrorKind::usage,
      "[{}] the input is N,H,W,K and the filter K,R,S,C/groups, with the same K. Got input {}, filter {}. "
      "Swap or permute the filter's axes.",
      where, input.str(), filter.str());
  ATROUS_CHECK(o.output_padding.h >= 0 && o.output_padding.w >= 0 && o.output_padding.h < o.stride.h &&
                   o.output_padding.w < o.stride.w,
               ErrorKind::usage,
               "[{}] output_padding must be at least 0 and below the stride. Got {}x{} with stride {}x{}. It "
               "only picks among the sizes that the strided convolution maps to one.",
               where, o.output_padding.h, o.output_padding.w, o.stride.h, o.stride.w);
  ATROUS_CHECK(o.groups >= 1, ErrorKind::usage, "[{}] groups must be at least 1. Got {}.", where, o.groups);
  const int64_t h = output_size(input[1], filter[1], o.stride.h, o.pad.h, o.dilation.h, o.output_padding.h);
  const int64_t w = output_size(input[2], filter[2], o.stride.w, o.pad.w, o.dilation.w, o.output_padding.w);
  ATROUS_CHECK(
      input[1] >= 1 && input[2] >= 1 && h >= 1 && w >= 1, ErrorKind::usage,
      "[{}] input and output must have at least one pixel. Got input {}, filter {} and padding {}x{}, which "
      "give {}x{}. Use less padding.",
      where, input.str(), filter.str(), o.pad.h, o.pad.w, h, w);
  return {Conv2dProblem::make(where, {input[0], h, w, filter[3] * o.groups}, filter,
                              {o.stride, o.pad, o.dilation, o.groups, o.math}, dtype)};
}

Tensor conv_transpose2d(const Tensor& x, const Tensor& w, const Tensor& bias,
                        const ConvTranspose2dOptions& options, Tensor out) {
  const char* where = "conv_transpose2d";
  const auto p = ConvTranspose2dProblem::make(where, x.shape(), w.shape(), options, x.dtype());
  check_tensor(where, "filter", w, p.conv.filter_shape(), x.dtype(), p);
  if (bias.defined()) check_tensor(where, "bias", bias, {p.conv.c}, parameter_dtype(x.dtype()), p);
  if (out.defined()) {
    check_tensor(where, "out", out, p.output_shape(), x.dtype(), p);
    check_disjoint(where, out, x);
  } else {
    out = Tensor::empty(p.output_shape(), x.dtype(), x.device());
  }
  forward(p, x, w, bias, writes(out));
  return out;
}

Tensor conv_transpose2d_backward_input(const Tensor& dy, const Tensor& w,
                                       const ConvTranspose2dOptions& options, const Shape& input_shape) {
  const char* where = "conv_transpose2d_backward_input";
  const auto p = ConvTranspose2dProblem::make(where, input_shape, w.shape(), options, dy.dtype());
  check_tensor(where, "dy", dy, p.output_shape(), dy.dtype(), p);
  check_tensor(where, "filter", w, p.conv.filter_shape(), dy.dtype(), p);
  const Tensor dx = Tensor::empty(input_shape, dy.dtype(), dy.device());
  backward_input(p, dy, w, writes(dx));
  return dx;
}

Tensor conv_transpose2d_backward_weight(const Tensor& dy, const Tensor& x,
                                        const ConvTranspose2dOptions& options, const Shape& filter_shape) {
  const char* where = "conv_transpose2d_backward_weight";
  const auto p = ConvTranspose2dProblem::make(where, x.shape(), filter_shape, options, x.dtype());
  check_tensor(where, "dy", dy, p.output_shape(), x.dtype(), p);
  const Tensor dw = Tensor::empty(filter_shape, parameter_dtype(x.dtype()), x.device());
  backward_weight(p, dy, x, writes(dw));
  return dw;
}

EntryList conv_transpose2d_entries() {
  return {&forward, &backward_input, &backward_weight};
}

}  // namespace atrous::kernels
