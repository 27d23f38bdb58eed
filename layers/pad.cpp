#include "layers/pad.h"

namespace atrous::layers {

Variable pad(const Variable& x, const PadOptions& options, const Tensor& out) {
  const Tensor y = kernels::pad_forward(x.value(), options, out);
  return record("pad", y, {x},
                [shape = x.shape(), options](const BackwardContext& ctx) -> std::vector<Tensor> {
                  return {kernels::pad_backward(ctx.grad(), shape, options)};
                });
}

Variable crop(const Variable& x, int64_t top, int64_t left, int64_t height, int64_t width,
              const Tensor& out) {
  ATROUS_CHECK(
      x.shape().rank() == 4 && top >= 0 && left >= 0 && height > 0 && width > 0 && top + height <= x.dim(1) &&
          left + width <= x.dim(2),
      ErrorKind::usage,
      "[crop] the part must lie inside the input [N, H, W, C]. Got {}x{} at row {}, column {} of {}.", height,
      width, top, left, x.shape().str());
  if (!out.defined() && height == x.dim(1) && width == x.dim(2)) return x;
  return pad(
      x, {.top = -top, .bottom = top + height - x.dim(1), .left = -left, .right = left + width - x.dim(2)},
      out);
}

Variable center_crop(const Variable& x, int64_t height, int64_t width, const Tensor& out) {
  ATROUS_CHECK(x.shape().rank() == 4 && height <= x.dim(1) && width <= x.dim(2), ErrorKind::usage,
               "[center_crop] the part must be no larger than the input [N, H, W, C]. Got {}x{} of {}.",
               height, width, x.shape().str());
  return crop(x, (x.dim(1) - height) / 2, (x.dim(2) - width) / 2, height, width, out);
}

}  // namespace atrous::layers
