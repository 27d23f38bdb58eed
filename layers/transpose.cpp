#include "layers/transpose.h"

#include "kernels/transpose/transpose.h"

namespace atrous::layers {

Variable transpose(const Variable& x) {
  return record(
      "transpose", kernels::transpose(x.value()), {x},
      [](const BackwardContext& ctx) -> std::vector<Tensor> { return {kernels::transpose(ctx.grad())}; });
}

}  // namespace atrous::layers
