#include "layers/reduce.h"

#include "kernels/common/arithmetic.h"
#include "kernels/reduce/reduce.h"

namespace atrous::layers {
namespace {

Variable scaled_sum(const char* name, const Variable& x, double factor) {
  const DType dtype = x.dtype();
  const Device device = x.value().device();
  const Tensor y = Tensor::empty({}, kernels::parameter_dtype(dtype), device);
  kernels::reduce_sum(x.value(), factor, y);
  return record(name, y, {x}, [=, shape = x.shape()](const BackwardContext& ctx) -> std::vector<Tensor> {
    return {Tensor::full(shape, ctx.grad().item() * factor, dtype, device)};
  });
}

}  // namespace

Variable sum(const Variable& x) {
  return scaled_sum("sum", x, 1.0);
}

Variable mean(const Variable& x) {
  ATROUS_CHECK(x.value().numel() > 0, ErrorKind::usage, "[mean] needs at least one element. Got {}.",
               x.value().describe());
  return scaled_sum("mean", x, 1.0 / static_cast<double>(x.value().numel()));
}

}  // namespace atrous::layers
