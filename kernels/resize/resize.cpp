#include "kernels/resize/resize.h"

#include "kernels/common/entry.h"
#include "kernels/resize/resize_impl.h"

namespace atrous::kernels {
namespace resize {
namespace {

constexpr auto exactly_twice = [](const ResizeProblem& p) -> const char* {
  if (p.mode != ResizeMode::bilinear || p.align_corners || p.out_h != 2 * p.in_h || p.out_w != 2 * p.in_w) {
    return "bilinear to twice the size without align_corners only";
  }
  return f32_or_bf16(p);
};
constexpr auto few_readers = [](const ResizeProblem& p) -> const char* {
  if (columns_in_reach(p) == 0) return "enlarges too much";
  return f32_or_bf16(p);
};

Reach reach_of(const ResizeProblem& p) {
  const auto taps = [&p](int64_t in, int64_t out) -> Reach::Axis {
    return [=, mode = p.mode, corners = p.align_corners](int64_t o) {
      const ResizeTap tap = resize_tap(mode, corners, o, in, out);
      return Taps{tap.low, tap.weight > 0 ? 2 : 1, 1};
    };
  };
  return Reach::axes(taps(p.in_h, p.out_h), taps(p.in_w, p.out_w));
}

constexpr Entry<ResizeProblem, Fn> forward{"resize.forward",
                                           {
                                               ATROUS_ON_GPU("twice", exactly_twice, forward_twice),
                                               ATROUS_ON_GPU("tabulated", f32_or_bf16, forward_tabulated),
                                               ATROUS_ON_GPU("naive", f32_or_bf16, forward_naive),
                                               {"separable", Device::cpu, f32_only, forward_separable},
                                               {"ref", Device::cpu, f32_or_f64, forward_ref},
                                           },
                                           reach_of};
constexpr Entry<ResizeProblem, Fn> backward{
    "resize.backward",
    {
        ATROUS_ON_GPU("twice", exactly_twice, backward_twice),
        ATROUS_ON_GPU("separable", few_readers, backward_separable_rows),
        ATROUS_ON_GPU("naive", f32_or_bf16, backward_naive),
        {"separable", Device::cpu, f32_only, backward_separable},
        {"ref", Device::cpu, f32_or_f64, backward_ref},
    }};

}  // namespace

int columns_in_reach(const ResizeProblem& p) {
  // Readers of k neighbours: k + 1 steps between input positions, and the margin of resize_readers.
  const auto readers = [&](int64_t k, int64_t in, int64_t out) {
    if (in == 1 || out == 1) return static_cast<double>(out);
    const double step = p.align_corners ? static_cast<double>(out - 1) / static_cast<double>(in - 1)
                                        : static_cast<double>(out) / static_cast<double>(in);
    return static_cast<double>(k + 1) * step + 5;
  };
  if (readers(1, p.in_h, p.out_h) > most_readers) return 0;
  int columns = 32;
  while (columns > 0 && readers(columns, p.in_w, p.out_w) > most_readers) columns /= 2;
  return columns;
}

}  // namespace resize

std::string ResizeProblem::str() const {
  return fmt::format("n{} {}x{} to {}x{} c{} {}{} {}", n, in_h, in_w, out_h, out_w, channels,
                     mode == ResizeMode::nearest ? "nearest" : "bilinear",
                     align_corners ? " align_corners" : "", name_of(dtype));
}

ResizeProblem resize_problem(const Shape& x, DType dtype, const ResizeOptions& options) {
  ATROUS_CHECK(x.rank() == 4, ErrorKind::usage, "[resize] the input must be [N, H, W, C]. Got shape {}.",
               x.str());
  ATROUS_CHECK(options.height > 0 && options.width > 0 && x[1] > 0 && x[2] > 0, ErrorKind::usage,
               "[resize] sizes must be positive. Got {} to {}x{}.", x.str(), options.height, options.width);
  ATROUS_CHECK(
      options.mode == ResizeMode::bilinear || !options.align_corners, ErrorKind::usage,
      "[resize] align_corners has no meaning for nearest. Got {} to {}x{}. Drop it, or use bilinear.",
      x.str(), options.height, options.width);
  ATROUS_CHECK(is_floating(dtype), ErrorKind::usage, "[resize] elements must be f32, f64 or bf16. Got {}.",
               name_of(dtype));
  for (int64_t size : {options.height, options.width, x[1], x[2]}) narrow<int32_t>(size, "resize");
  return {x[0], x[1], x[2], x[3], options.height, options.width, options.mode, options.align_corners, dtype};
}

Shape resize_shape(const ResizeProblem& p) {
  return {p.n, p.out_h, p.out_w, p.channels};
}

Tensor resize_forward(const Tensor& x, const ResizeOptions& options, const Tensor& out) {
  const ResizeProblem p = resize_problem(x.shape(), x.dtype(), options);
  ATROUS_CHECK(!out.defined() || (out.shape() == resize_shape(p) && out.dtype() == x.dtype()),
               ErrorKind::usage, "[resize] the output must be {} {}. Got {}.", name_of(x.dtype()),
               resize_shape(p).str(), out.describe());
  const Tensor y = out.defined() ? out : Tensor::empty(resize_shape(p), x.dtype(), x.device());
  resize::forward(p, x, writes(y));
  return y;
}

Tensor resize_backward(const Tensor& dy, const Shape& x, const ResizeOptions& options) {
  const ResizeProblem p = resize_problem(x, dy.dtype(), options);
  ATROUS_CHECK(dy.shape() == resize_shape(p), ErrorKind::usage,
               "[resize] the output gradient must have the shape of the output. Got {} for {}.",
               dy.describe(), p.str());
  const Tensor dx = Tensor::empty(x, dy.dtype(), dy.device());
  resize::backward(p, dy, writes(dx));
  return dx;
}

EntryList resize_entries() {
  return {&resize::forward, &resize::backward};
}

}  // namespace atrous::kernels
