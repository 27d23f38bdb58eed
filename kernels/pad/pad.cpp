#include "kernels/pad/pad.h"

#include "kernels/common/entry.h"
#include "kernels/pad/pad_impl.h"

namespace atrous::kernels {
namespace pad_impl {
namespace {

Reach reach_of(const PadProblem& p) {
  const auto taps = [&p](int64_t pad, int64_t size) -> Reach::Axis {
    return [=, mode = p.pads.mode](int64_t o) { return Taps{pad_source(mode, o, pad, size), 1, 1}; };
  };
  return Reach::axes(taps(p.pads.top, p.in_h), taps(p.pads.left, p.in_w));
}

constexpr Entry<PadProblem, Fn> forward{
    "pad.forward",
    {
        ATROUS_ON_GPU("vectorised", f32_or_bf16, forward_vectorised, exact_values),
        ATROUS_ON_GPU("naive", f32_or_bf16, forward_naive, exact_values),
        {"rows", Device::cpu, f32_only, forward_rows, exact_values},
        {"ref", Device::cpu, f32_or_f64, forward_ref, exact_values},
    },
    reach_of};
constexpr Entry<PadProblem, Fn> backward{"pad.backward",
                                         {
                                             ATROUS_ON_GPU("vectorised", f32_or_bf16, backward_vectorised),
                                             ATROUS_ON_GPU("naive", f32_or_bf16, backward_naive),
                                             {"rows", Device::cpu, f32_only, backward_rows},
                                             {"ref", Device::cpu, f32_or_f64, backward_ref},
                                         }};

}  // namespace
}  // namespace pad_impl

const char* name_of(PadMode mode) {
  switch (mode) {
    case PadMode::constant: return "constant";
    case PadMode::replicate: return "replicate";
    case PadMode::reflect: return "reflect";
  }
  return "?";
}

std::string PadProblem::str() const {
  return fmt::format("n{} {}x{} to {}x{} c{} pad {},{},{},{} {} {}", n, in_h, in_w, out_h, out_w, channels,
                     pads.top, pads.bottom, pads.left, pads.right, name_of(pads.mode), name_of(dtype));
}

PadProblem pad_problem(const Shape& x, DType dtype, const PadOptions& o) {
  ATROUS_CHECK(x.rank() == 4 && is_floating(dtype), ErrorKind::usage,
               "[pad] the input must be f32, f64 or bf16 of shape [N, H, W, C]. Got {} {}.", name_of(dtype),
               x.str());
  const PadProblem p{x[0], x[1], x[2], x[3], x[1] + o.top + o.bottom, x[2] + o.left + o.right, o, dtype};
  // Cropping from one side by more than the size would leave only padding of the other side.
  const bool keeps_something = p.out_h > 0 && p.out_w > 0 && -o.top < p.in_h && -o.bottom < p.in_h &&
                               -o.left < p.in_w && -o.right < p.in_w;
  ATROUS_CHECK(keeps_something, ErrorKind::usage,
               "[pad] cropping (negative pads) must leave at least one pixel. Got pads top {}, bottom {}, "
               "left {}, right {} for {}.",
               o.top, o.bottom, o.left, o.right, x.str());
  ATROUS_CHECK(o.mode != PadMode::reflect ||
                   (o.top < p.in_h && o.bottom < p.in_h && o.left < p.in_w && o.right < p.in_w),
               ErrorKind::usage,
               "[pad] reflect can pad by at most the size minus one. Got pads top {}, bottom {}, left {}, "
               "right {} for {}. Use replicate.",
               o.top, o.bottom, o.left, o.right, x.str());
  return p;
}

Shape pad_shape(const PadProblem& p) {
  return {p.n, p.out_h, p.out_w, p.channels};
}

Tensor pad_forward(const Tensor& x, const PadOptions& options, const Tensor& out) {
  const PadProblem p = pad_problem(x.shape(), x.dtype(), options);
  ATROUS_CHECK(!out.defined() || (out.shape() == pad_shape(p) && out.dtype() == x.dtype()), ErrorKind::usage,
               "[pad] the output must be {} {}. Got {}.", name_of(x.dtype()), pad_shape(p).str(),
               out.describe());
  const Tensor y = out.defined() ? out : Tensor::empty(pad_shape(p), x.dtype(), x.device());
  pad_impl::forward(p, x, writes(y));
  return y;
}

Tensor pad_backward(const Tensor& dy, const Shape& x, const PadOptions& options) {
  const PadProblem p = pad_problem(x, dy.dtype(), options);
  ATROUS_CHECK(dy.shape() == pad_shape(p), ErrorKind::usage,
               "[pad] the output gradient must have the shape of the output. Got {} for {}.", dy.describe(),
               p.str());
  const Tensor dx = Tensor::empty(x, dy.dtype(), dy.device());
  pad_impl::backward(p, dy, writes(dx));
  return dx;
}

EntryList pad_entries() {
  return {&pad_impl::forward, &pad_impl::backward};
}

}  // namespace atrous::kernels
