#include "kernels/conv2d/conv2d.h"

#include <climits>
#include <numeric>

#include "kernels/common/arguments.h"
#include "kernels/common/entry.h"
#include "kernels/conv2d/conv2d_impl.h"
#include "kernels/gpu/declare.h"

namespace atrous::kernels {
namespace {

// The tiles of a group are counted along the grid's z.
const char* can_tile(const Conv2dProblem& p) {
  return p.groups > 65535 ? "more than 65535 groups" : f32_or_bf16(p);
}

// Sums over the channels of a group, for which the other kernels are built, do not occur here.
const char* depthwise(const Conv2dProblem& p) {
  if (!p.depthwise()) return "not one filter per input channel";
  return p.fused ? "fuses only a bias" : nullptr;
}
const char* depthwise_f32(const Conv2dProblem& p) {
  const char* reason = depthwise(p);
  return reason ? reason : f32_only(p);
}
const char* depthwise_on_gpu(const Conv2dProblem& p) {
  const char* reason = depthwise(p);
  return reason ? reason : f32_or_bf16(p);
}
const char* depthwise_vectorised(const Conv2dProblem& p) {
  if (const char* reason = depthwise_on_gpu(p)) return reason;
  if (p.k != p.c) return "needs channel multiplier 1";
  if (std::max(p.n * p.h * p.w, p.n * p.p() * p.q()) > INT_MAX) return "2^31 pixels or more";
  return p.r * p.s > 64 ? "the filter has more than 64 taps" : nullptr;
}
// The window holds 3x3 or 5x5 taps and moves by one or two of them.
const char* depthwise_window(const Conv2dProblem& p) {
  if (const char* reason = depthwise_vectorised(p)) return reason;
  if (p.r != p.s || (p.r != 3 && p.r != 5)) return "needs a 3x3 or 5x5 filter";
  return p.stride_w / std::gcd(p.stride_w, p.dilation_w) > 2 ? "neighbouring windows share too little"
                                                             : nullptr;
}
const char* depthwise_window_backward(const Conv2dProblem& p) {
  if (p.stride_h != 1 || p.stride_w != 1) return "needs stride 1";
  return depthwise_window(p);
}

// Tiles of 16 channels where those of 64 would be half empty or too few to occupy a GPU.
bool prefers_narrow(const Conv2dProblem& p, int64_t pixels, int64_t channels) {
  const int64_t wide_tiles = (pixels + 127) / 128 * ((channels + 63) / 64) * p.groups;
  return channels <= 32 || wide_tiles < 132;
}
bool prefers_narrow_forward(const Conv2dProblem& p) {
  return prefers_narrow(p, p.n * p.p() * p.q(), p.k / p.groups);
}
bool prefers_narrow_backward_input(const Conv2dProblem& p) {
  return prefers_narrow(p, p.n * p.h * p.w, p.c / p.groups);
}

// Wide groups fill the vectors of the tiles for one group; then what joined taps share must pay for the
// copies and for packing the filter.
template <int64_t lanes>
bool prefers_grouped(const Conv2dProblem& p) {
  const bool narrow = std::max(p.c, p.k) / p.groups <= lanes / 2;
  return narrow || (p.s % 3 == 0 && p.dilation_w == 1 && p.n * p.p() * p.q() >= 1024);
}

using Rows = Traits<Conv2dProblem>;
constexpr Rows tf32{.accuracy = Accuracy::tf32};
constexpr Rows amx_bf16{.accuracy = Accuracy::bf16, .needs = &needs_amx_bf16};
constexpr Rows avx512_bf16{.accuracy = Accuracy::bf16, .needs = &needs_avx512_bf16};
constexpr Rows bf16{.accuracy = Accuracy::bf16};
constexpr Rows avx512{.needs = &needs_avx512};
constexpr Rows avx2{.needs = &needs_avx2};
constexpr Rows grouped_avx512{.needs = &needs_avx512, .prefers = prefers_grouped<16>};
constexpr Rows grouped_avx2{.needs = &needs_avx2, .prefers = prefers_grouped<8>};
constexpr Rows winograd_if(bool (*prefers)(const Conv2dProblem&)) {
  return {.accuracy = Accuracy::winograd, .needs = &needs_avx512, .prefers = prefers};
}

Reach reach_of(const Conv2dProblem& p) {
  return Reach::axes(window_taps(p.r, p.stride_h, p.pad_h, p.dilation_h),
                     window_taps(p.s, p.stride_w, p.pad_w, p.dilation_w));
}

constexpr Entry<Conv2dProblem, Conv2dForwardFn> forward{
    "conv2d.forward",
    {
        ATROUS_ON_GPU("depthwise_window", depthwise_window, conv2d_forward_depthwise_window),
        ATROUS_ON_GPU("depthwise_vectorised", depthwise_vectorised, conv2d_forward_depthwise_vectorised),
        ATROUS_ON_GPU("depthwise_naive", depthwise_on_gpu, conv2d_forward_depthwise_naive),
        ATROUS_ON_GPU("mma_bf16", conv2d_can_mma_forward<DType::bf16>, conv2d_forward_mma,
                      {.rounds_prologue = true}),
        ATROUS_ON_GPU("mma_tf32", conv2d_can_mma_forward<DType::f32>, conv2d_forward_mma, tf32),
        ATROUS_ON_GPU("implicit_gemm_narrow", can_tile, conv2d_forward_implicit_gemm_narrow,
                      {.prefers = prefers_narrow_forward}),
        ATROUS_ON_GPU("implicit_gemm", can_tile, conv2d_forward_implicit_gemm),
        ATROUS_ON_GPU("tiled", can_tile, conv2d_forward_tiled),
        ATROUS_ON_GPU("naive", f32_or_bf16, conv2d_forward_naive),
        {"depthwise", Device::cpu, depthwise_f32, conv2d_forward_depthwise},
        {"grouped_avx512", Device::cpu, conv2d_can_group_avx512, conv2d_forward_grouped_avx512,
         grouped_avx512},
        {"grouped_avx2", Device::cpu, conv2d_can_group_avx2, conv2d_forward_grouped_avx2, grouped_avx2},
        {"amx_bf16", Device::cpu, f32_only, conv2d_forward_amx_bf16, amx_bf16},
        {"winograd_f4", Device::cpu, conv2d_can_winograd, conv2d_forward_winograd_f4,
         winograd_if(conv2d_prefers_winograd_f4)},
        {"winograd_f2", Device::cpu, conv2d_can_winograd, conv2d_forward_winograd_f2,
         winograd_if(conv2d_prefers_winograd_f2)},
        {"avx512_bf16", Device::cpu, f32_only, conv2d_forward_avx512_bf16, avx512_bf16},
        {"bf16_rounded", Device::cpu, f32_only, conv2d_forward_bf16_rounded, bf16},
        {"avx512", Device::cpu, f32_only, conv2d_forward_avx512, avx512},
        {"avx2", Device::cpu, f32_only, conv2d_forward_avx2, avx2},
        {"ref", Device::cpu, f32_or_f64, conv2d_forward_ref},
    },
    reach_of};
constexpr Entry<Conv2dProblem, Conv2dBackwardInputFn> backward_input{
    "conv2d.backward_input",
    {
        ATROUS_ON_GPU("depthwise_window", depthwise_window_backward, conv2d_backward_input_depthwise_window),
        ATROUS_ON_GPU("depthwise_vectorised", depthwise_vectorised,
                      conv2d_backward_input_depthwise_vectorised),
        ATROUS_ON_GPU("depthwise_naive", depthwise_on_gpu, conv2d_backward_input_depthwise_naive),
        ATROUS_ON_GPU("mma_bf16", conv2d_can_mma_backward_input<DType::bf16>, conv2d_backward_input_mma,
                      {.rounds_prologue = true}),
        ATROUS_ON_GPU("mma_tf32", conv2d_can_mma_backward_input<DType::f32>, conv2d_backward_input_mma, tf32),
        ATROUS_ON_GPU("implicit_gemm_narrow", can_tile, conv2d_backward_input_implicit_gemm_narrow,
                      {.prefers = prefers_narrow_backward_input}),
        ATROUS_ON_GPU("implicit_gemm", can_tile, conv2d_backward_input_implicit_gemm),
        ATROUS_ON_GPU("tiled", can_tile, conv2d_backward_input_tiled),
        ATROUS_ON_GPU("naive", f32_or_bf16, conv2d_backward_input_naive),
        {"depthwise", Device::cpu, depthwise_f32, conv2d_backward_input_depthwise},
        {"grouped_avx512", Device::cpu, conv2d_can_group_avx512, conv2d_backward_input_grouped_avx512,
         avx512},
        {"grouped_avx2", Device::cpu, conv2d_can_group_avx2, conv2d_backward_input_grouped_avx2,
         grouped_avx2},
        {"amx_bf16", Device::cpu, f32_only, conv2d_backward_input_amx_bf16, amx_bf16},
        {"winograd_f4", Device::cpu, conv2d_can_winograd, conv2d_backward_input_winograd_f4,
         winograd_if(conv2d_prefers_winograd_f4)},
        {"winograd_f2", Device::cpu, conv2d_can_winograd, conv2d_backward_input_winograd_f2,
         winograd_if(conv2d_prefers_winograd_f2)},
        {"avx512_bf16", Device::cpu, f32_only, conv2d_backward_input_avx512_bf16, avx512_bf16},
        {"bf16_rounded", Device::cpu, f32_only, conv2d_backward_input_bf16_rounded, bf16},
        {"avx512", Device::cpu, f32_only, conv2d_backward_input_avx512, avx512},
        {"avx2", Device::cpu, f32_only, conv2d_backward_input_avx2, avx2},
        {"ref", Device::cpu, f32_or_f64, conv2d_backward_input_ref},
    }};
constexpr Entry<Conv2dProblem, Conv2dBackwardWeightFn> backward_weight{
    "conv2d.backward_weight",
    {
        ATROUS_ON_GPU("depthwise_window", depthwise_window, conv2d_backward_weight_depthwise_window),
        ATROUS_ON_GPU("depthwise_vectorised", depthwise_vectorised,
                      conv2d_backward_weight_depthwise_vectorised),
        ATROUS_ON_GPU("depthwise_naive", depthwise_on_gpu, conv2d_backward_weight_depthwise_naive),
        ATROUS_ON_GPU("mma_bf16", conv2d_can_mma_backward_weight<DType::bf16>, conv2d_backward_weight_mma,
                      {.rounds_prologue = true}),
        ATROUS_ON_GPU("mma_tf32", conv2d_can_mma_backward_weight<DType::f32>, conv2d_backward_weight_mma,
                      tf32),
        ATROUS_ON_GPU("implicit_gemm", can_tile, conv2d_backward_weight_implicit_gemm),
        ATROUS_ON_GPU("tiled", can_tile, conv2d_backward_weight_tiled),
        ATROUS_ON_GPU("naive", f32_or_bf16, conv2d_backward_weight_naive),
        {"depthwise", Device::cpu, depthwise_f32, conv2d_backward_weight_depthwise},
        {"grouped_avx512", Device::cpu, conv2d_can_group_avx512, conv2d_backward_weight_grouped_avx512,
         avx512},
        {"grouped_avx2", Device::cpu, conv2d_can_group_avx2, conv2d_backward_weight_grouped_avx2,
         grouped_avx2},
        {"amx_bf16", Device::cpu, f32_only, conv2d_backward_weight_amx_bf16, amx_bf16},
        {"winograd_f4", Device::cpu, conv2d_can_winograd, conv2d_backward_weight_winograd,
         winograd_if(conv2d_prefers_winograd_weight)},
        {"avx512_bf16", Device::cpu, f32_only, conv2d_backward_weight_avx512_bf16, avx512_bf16},
        {"bf16_rounded", Device::cpu, f32_only, conv2d_backward_weight_bf16_rounded, bf16},
        {"avx512", Device::cpu, f32_only, conv2d_backward_weight_avx512, avx512},
        {"avx2", Device::cpu, f32_only, conv2d_backward_weight_avx2, avx2},
        {"ref", Device::cpu, f32_or_f64, conv2d_backward_weight_ref},
    }};

void check_fusion(const Conv2dProblem& p, const Conv2dFusion& f) {
  const char* where = "conv2d";
  ATROUS_CHECK(f.in_scale.defined() == f.in_bias.defined(), ErrorKind::usage,
               "[conv2d] in_scale and in_bias come together. Got in_scale {}, in_bias {} with problem {}. "
               "Pass both or neither.",
               f.in_scale.describe(), f.in_bias.describe(), p.str());
  if (f.in_scale.defined()) {
    check_tensor(where, "in_scale", f.in_scale, {p.c}, parameter_dtype(p.dtype), p);
    check_tensor(where, "in_bias", f.in_bias, {p.c}, parameter_dtype(p.dtype), p);
  }
  if (f.bias.defined()) check_tensor(where, "bias", f.bias, {p.k}, parameter_dtype(p.dtype), p);
  if (f.residual.defined()) check_tensor(where, "residual", f.residual, p.output_shape(), p.dtype, p);
  if (f.channel_sums.defined()) {
    check_tensor(where, "channel_sums", f.channel_sums, {2, p.k}, DType::f64, p);
    ATROUS_CHECK(f.channel_sums.contiguous(), ErrorKind::usage,
                 "[conv2d] channel_sums must be contiguous. Got {}. Pass a separate tensor.",
                 f.channel_sums.describe());
  }
}

}  // namespace

int64_t Conv2dProblem::output_size(int64_t in, int64_t taps, int64_t stride, int64_t pad, int64_t dilation) {
  const int64_t room = in + 2 * pad - (dilation * (taps - 1) + 1);
  return room < 0 ? 0 : room / stride + 1;
}

double Conv2dProblem::flops() const {
  const int64_t products = k * r * s * (c / groups);  // of one output pixel
  return 2.0 * static_cast<double>(n * p() * q()) * static_cast<double>(products);
}

double Conv2dProblem::bytes() const {
  return static_cast<double>(input_shape().numel() + filter_shape().numel() + output_shape().numel()) *
         static_cast<double>(size_of(dtype));
}

std::string Conv2dProblem::str() const {
  return fmt::format("{} n{} h{} w{} c{} k{} r{} s{} stride {}x{} pad {}x{} dilation {}x{} groups {}",
                     name_of(dtype), n, h, w, c, k, r, s, stride_h, stride_w, pad_h, pad_w, dilation_h,
                     dilation_w, groups);
}

Conv2dProblem Conv2dProblem::make(const char* where, const Shape& input, const Shape& filter,
                                  const Conv2dOptions& o, DType dtype) {
  ATROUS_CHECK(
      input.rank() == 4 && filter.rank() == 4, ErrorKind::usage,
      "[{}] the input is N,H,W,C and the filter K,R,S,C/groups. Got input {}, filter {}. Reshape them.",
      where, input.str(), filter.str());
  ATROUS_CHECK(
      dtype == DType::f32 || dtype == DType::f64 || dtype == DType::bf16, ErrorKind::usage,
      "[{}] the type must be f32, f64 or bf16. Got {} with input {}, filter {}. Convert the tensors first.",
      where, name_of(dtype), input.str(), filter.str());
  const Conv2dProblem p{input[0],     input[1],   input[2],   input[3], filter[0], filter[1],
                        filter[2],    o.stride.h, o.stride.w, o.pad.h,  o.pad.w,   o.dilation.h,
                        o.dilation.w, o.groups,   dtype,      o.math};
  ATROUS_CHECK(p.stride_h >= 1 && p.stride_w >= 1 && p.dilation_h >= 1 && p.dilation_w >= 1 && p.pad_h >= 0 &&
                   p.pad_w >= 0 && p.groups >= 1,
               ErrorKind::usage,
               "[{}] stride, dilation and groups must be at least 1 and padding at least 0. Got {}. "
               "Dilation 1 is the dense filter.",
               where, p.str());
  ATROUS_CHECK(p.h >= 1 && p.w >= 1, ErrorKind::usage,
               "[{}] images must have at least one pixel. Got input {}, filter {}. Leave empty images out.",
               where, input.str(), filter.str());
  ATROUS_CHECK(p.r >= 1 && p.s >= 1 && p.k >= 1 && p.c >= 1, ErrorKind::usage,
               "[{}] filter extents and channels must be at least 1. Got input {}, filter {}. Check the "
               "layer's sizes.",
               where, input.str(), filter.str());
  ATROUS_CHECK(p.c % p.groups == 0 && p.k % p.groups == 0 && filter[3] == p.c / p.groups, ErrorKind::usage,
               "[{}] the filter must have C/groups input channels, and groups must divide C and K. Got input "
               "{}, filter {} with {} groups. Make the filter's last axis {}.",
               where, input.str(), filter.str(), p.groups, p.c / p.groups);
  ATROUS_CHECK(p.p() >= 1 && p.q() >= 1, ErrorKind::usage,
               "[{}] the filter must fit into the padded input. Got input {}, filter {} ({}). Use a larger "
               "input, more padding or a smaller dilation.",
               where, input.str(), filter.str(), p.str());
  return p;
}

Tensor conv2d(const Tensor& x, const Tensor& w, const Conv2dOptions& options, const Conv2dFusion& fusion,
              Tensor out) {
  ATROUS_CHECK(x.defined() && w.defined() && x.dtype() == w.dtype(), ErrorKind::usage,
               "[conv2d] input and filter must have one type. Got input {}, filter {}. Convert one of them.",
               x.describe(), w.describe());
  Conv2dProblem p = Conv2dProblem::make("conv2d", x.shape(), w.shape(), options, x.dtype());
  p.fused = fusion.has_prologue() || fusion.has_post_pass();
  check_fusion(p, fusion);
  if (out.defined()) {
    check_tensor("conv2d", "out", out, p.output_shape(), p.dtype, p);
    check_disjoint("conv2d", out, x);
    if (fusion.residual.defined()) check_disjoint("conv2d", out, fusion.residual);
  } else {
    out = Tensor::empty(p.output_shape(), p.dtype, x.device());
  }
  forward(p, x, w, fusion, writes(out));
  return out;
}

Tensor conv2d_backward_input(const Tensor& dy, const Tensor& w, const Conv2dOptions& options,
                             const Shape& input_shape, Tensor out, const Tensor& bias) {
  const char* where = "conv2d_backward_input";
  ATROUS_CHECK(dy.defined() && w.defined() && dy.dtype() == w.dtype(), ErrorKind::usage,
               "[{}] gradient and filter must have one type. Got dy {}, filter {}. Convert one of them.",
               where, dy.describe(), w.describe());
  Conv2dProblem p = Conv2dProblem::make(where, input_shape, w.shape(), options, dy.dtype());
  p.fused = bias.defined();
  check_tensor(where, "dy", dy, p.output_shape(), p.dtype, p);
  if (bias.defined()) check_tensor(where, "bias", bias, {p.c}, parameter_dtype(p.dtype), p);
  if (out.defined()) {
    check_tensor(where, "out", out, p.input_shape(), p.dtype, p);
    check_disjoint(where, out, dy);
  } else {
    out = Tensor::empty(p.input_shape(), p.dtype, dy.device());
  }
  backward_input(p, dy, w, bias, writes(out));
  return out;
}

Tensor conv2d_backward_weight(const Tensor& dy, const Tensor& x, const Conv2dOptions& options,
                              const Shape& filter_shape) {
  const char* where = "conv2d_backward_weight";
  ATROUS_CHECK(dy.defined() && x.defined() && dy.dtype() == x.dtype(), ErrorKind::usage,
               "[{}] gradient and input must have one type. Got dy {}, input {}. Convert one of them.", where,
               dy.describe(), x.describe());
  const Conv2dProblem p = Conv2dProblem::make(where, x.shape(), filter_shape, options, x.dtype());
  check_tensor(where, "dy", dy, p.output_shape(), p.dtype, p);
  const Tensor dw = Tensor::empty(filter_shape, parameter_dtype(p.dtype), x.device());
  backward_weight(p, dy, x, writes(dw));
  return dw;
}

EntryList conv2d_entries() {
  return {&forward, &backward_input, &backward_weight, &conv2d_backward_bias_entry()};
}

}  // namespace atrous::kernels
