#include "layers/softmax.h"

#include "kernels/softmax/softmax.h"

namespace atrous::layers {
namespace {

Variable apply(const char* name, const Variable& x, bool log) {
  const Tensor y = kernels::softmax_forward(x.value(), log);
  return record(name, y, {x}, [y = Saved(y), log](const BackwardContext& ctx) -> std::vector<Tensor> {
    return {kernels::softmax_backward(y.get(), ctx.grad(), log)};
  });
}

}  // namespace

Variable softmax(const Variable& x) {
  return apply("softmax", x, false);
}
Variable log_softmax(const Variable& x) {
  return apply("log_softmax", x, true);
}

}  // namespace atrous::layers
