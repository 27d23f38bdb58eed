#include "layers/roi_pool.h"

namespace atrous::layers {

Variable roi_pool(const Variable& x, const Tensor& rois, const RoiPoolOptions& options) {
  const Tensor& input = x.value();
  const auto problem = kernels::roi_pool_problem(input.shape(), input.dtype(), rois.dim(0), options);
  Tensor argmax;
  if (any_requires_grad({&x})) argmax = Tensor::empty(problem.output_shape(), DType::i32, input.device());
  const Tensor y = kernels::roi_pool_forward(input, rois, options, argmax);
  // The map itself is not needed again: its memory can be freed before backward.
  auto backward = [rois = Saved(rois), argmax = Saved(argmax), shape = input.shape(),
                   options](const BackwardContext& ctx) -> std::vector<Tensor> {
    return {kernels::roi_pool_backward(ctx.grad(), rois.get(), argmax.get(), shape, options)};
  };
  return record("roi_pool", y, {x}, backward);
}

}  // namespace atrous::layers
