#include "layers/dropout.h"

#include "kernels/dropout/dropout.h"

namespace atrous::layers {
namespace {

Variable drop(const Variable& x, double p, bool by_channel, RandomKey key, bool training) {
  if (!training || p == 0) return x;
  const Tensor y = Tensor::empty_like(x.value());
  kernels::dropout(x.value(), p, by_channel, key, y);
  return record("dropout", y, {x}, [=](const BackwardContext& ctx) -> std::vector<Tensor> {
    const Tensor dx = Tensor::empty_like(ctx.grad());
    kernels::dropout(ctx.grad(), p, by_channel, key, dx);
    return {dx};
  });
}

}  // namespace

Variable dropout(const Variable& x, double p, RandomKey key, bool training) {
  return drop(x, p, false, key, training);
}
Variable dropout2d(const Variable& x, double p, RandomKey key, bool training) {
  return drop(x, p, true, key, training);
}

}  // namespace atrous::layers
