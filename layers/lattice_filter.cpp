#include "layers/lattice_filter.h"

namespace atrous::layers {

Variable lattice_filter(const kernels::Lattice& lattice, const Variable& values) {
  const Tensor y = kernels::lattice_filter(lattice, values.value());
  return record("lattice_filter", y, {values}, [lattice](const BackwardContext& ctx) -> std::vector<Tensor> {
    return {kernels::lattice_filter(lattice, ctx.grad(), true)};
  });
}

}  // namespace atrous::layers
