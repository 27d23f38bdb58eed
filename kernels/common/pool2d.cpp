#include "kernels/common/pool2d.h"
#include "core/error.h"
#include "kernels/common/operands.h"

namespace atrous::kernels {
namespace {

int64_t output_extent(const char* where, const char* axis, int64_t in, int64_t kernel, int64_t stride,
                      int64_t pad, int64_t dilation, bool ceil_mode) {
  const int64_t span = in + 2 * pad - dilation * (kernel - 1) - 1;
  ATROUS_CHECK(span >= 0, ErrorKind::usage,
               "[{}] the window must fit the padded input. Got {} {}, padding {}, kernel {}, dilation {}. "
               "Use a larger image or fewer pooling stages.",
               where, axis, in, pad, kernel, dilation);
  int64_t out = (span + (ceil_mode ? stride - 1 : 0)) / stride + 1;
  if (ceil_mode && (out - 1) * stride >= in + pad) --out;
  return out;
}

}  // namespace

std::string Pool2dProblem::str() const {
  const Pool2dOptions& o = options;
  return fmt::format("n{} h{} w{} c{} k{}x{} s{}x{} p{}x{} d{}x{} {}{}", batch, height, width, channels,
                     o.kernel_h, o.kernel_w, o.stride_h, o.stride_w, o.pad_h, o.pad_w, o.dilation_h,
                     o.dilation_w, name_of(dtype), o.ceil_mode ? " ceil" : "");
}

void check_pool_input(const char* where, const Shape& input, DType dtype) {
  ATROUS_CHECK(input.rank() == 4 && input.numel() > 0, ErrorKind::usage,
               "[{}] the input must be a non-empty [N, H, W, C]. Got {}.", where, input.str());
  ATROUS_CHECK(is_floating(dtype), ErrorKind::usage,
               "[{}] the input must be f32, f64 or bf16. Got {}. Convert it with Tensor::to.", where,
               name_of(dtype));
}

void check_tensor(const char* where, const char* name, const Tensor& t, const Shape& shape, DType dtype) {
  ATROUS_CHECK(t.defined() && t.shape() == shape && t.dtype() == dtype, ErrorKind::usage,
               "[{}] {} must be {} {}. Got {}.", where, name, name_of(dtype), shape.str(), t.describe());
}

Tensor pool_target(const char* where, Tensor out, const Shape& shape, const Tensor& x) {
  if (!out.defined()) return Tensor::empty(shape, x.dtype(), x.device());
  check_tensor(where, "output", out, shape, x.dtype());
  return out;
}

Pool2dProblem pool2d_problem(const char* where, const Shape& input, DType dtype, const Pool2dOptions& o) {
  check_pool_input(where, input, dtype);
  ATROUS_CHECK(std::min({o.kernel_h, o.kernel_w, o.stride_h, o.stride_w, o.dilation_h, o.dilation_w}) >= 1,
               ErrorKind::usage,
               "[{}] kernel, stride and dilation must be at least 1. Got {}x{}, {}x{}, {}x{}.", where,
               o.kernel_h, o.kernel_w, o.stride_h, o.stride_w, o.dilation_h, o.dilation_w);
  // More padding would allow windows that see padding only.
  ATROUS_CHECK(o.pad_h >= 0 && o.pad_w >= 0 && 2 * o.pad_h <= o.kernel_h && 2 * o.pad_w <= o.kernel_w,
               ErrorKind::usage,
               "[{}] padding must be between 0 and half of the kernel. Got padding {}x{}, kernel {}x{}.",
               where, o.pad_h, o.pad_w, o.kernel_h, o.kernel_w);
  Pool2dProblem p{input[0], input[1], input[2], input[3], 0, 0, o, dtype};
  p.out_height =
      output_extent(where, "height", p.height, o.kernel_h, o.stride_h, o.pad_h, o.dilation_h, o.ceil_mode);
  p.out_width =
      output_extent(where, "width", p.width, o.kernel_w, o.stride_w, o.pad_w, o.dilation_w, o.ceil_mode);
  return p;
}

}  // namespace atrous::kernels
