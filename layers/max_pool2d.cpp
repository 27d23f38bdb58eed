#include "layers/max_pool2d.h"

namespace atrous::layers {
namespace {

PooledWithIndices pool(const Variable& x, const Pool2dOptions& options, bool want_indices) {
  const Tensor& input = x.value();
  const Shape shape =
      kernels::pool2d_problem("max_pool2d", input.shape(), input.dtype(), options).output_shape();
  const Tensor y = Tensor::empty(shape, input.dtype(), input.device());
  Tensor indices;
  if (want_indices || any_requires_grad({&x})) indices = Tensor::empty(shape, DType::i32, input.device());
  kernels::max_pool2d_forward(input, options, y, indices);
  // The input itself is not needed again: its memory can be freed before backward.
  auto backward = [options, indices = Saved(indices),
                   like = input.shape()](const BackwardContext& ctx) -> std::vector<Tensor> {
    const Tensor dx = Tensor::empty(like, ctx.grad().dtype(), ctx.grad().device());
    kernels::max_pool2d_backward(ctx.grad(), indices.get(), options, dx);
    return {dx};
  };
  return {record("max_pool2d", y, {x}, backward), indices};
}

}  // namespace

Variable max_pool2d(const Variable& x, const Pool2dOptions& options) {
  return pool(x, options, false).values;
}

PooledWithIndices max_pool2d_with_indices(const Variable& x, const Pool2dOptions& options) {
  return pool(x, options, true);
}

Variable max_unpool2d(const Variable& x, const Tensor& indices, int64_t height, int64_t width) {
  const Tensor& input = x.value();
  ATROUS_CHECK(
      input.rank() == 4 && height >= 1 && width >= 1, ErrorKind::usage,
      "[max_unpool2d] the input must be [N, H, W, C] and the output size positive. Got {} and {}x{}.",
      input.shape().str(), height, width);
  const Tensor y = Tensor::empty({input.dim(0), height, width, input.dim(3)}, input.dtype(), input.device());
  kernels::max_unpool2d_forward(input, indices, y);
  auto backward = [indices = Saved(indices)](const BackwardContext& ctx) -> std::vector<Tensor> {
    const Tensor& kept = indices.get();
    const Tensor dx = Tensor::empty(kept.shape(), ctx.grad().dtype(), ctx.grad().device());
    kernels::max_unpool2d_backward(ctx.grad(), kept, dx);
    return {dx};
  };
  return record("max_unpool2d", y, {x}, backward);
}

}  // namespace atrous::layers
