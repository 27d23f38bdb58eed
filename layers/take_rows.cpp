#include "layers/take_rows.h"

namespace atrous::layers {

Variable take_rows(const Variable& x, const Tensor& index) {
  const Tensor y = kernels::take_rows(x.value(), index);
  auto backward = [index = Saved(index), rows = x.dim(0)](const BackwardContext& ctx) -> std::vector<Tensor> {
    return {kernels::take_rows_backward(ctx.grad(), index.get(), rows)};
  };
  return record("take_rows", y, {x}, backward);
}

Variable take_class(const Variable& x, const Tensor& index, int64_t width) {
  const Tensor y = kernels::take_class(x.value(), index, width);
  auto backward = [index = Saved(index),
                   channels = x.value().channels()](const BackwardContext& ctx) -> std::vector<Tensor> {
    return {kernels::take_class_backward(ctx.grad(), index.get(), channels)};
  };
  return record("take_class", y, {x}, backward);
}

}  // namespace atrous::layers
