// Lattices for the cases of ops that take one.
#pragma once

#include <memory>

#include "kernels/lattice_filter/lattice_filter.h"
#include "tests/kernels/op_case.h"

namespace atrous::cases {

// A lattice around n random points in d dimensions, `spread` standard deviations wide; made when it is first
// asked for. The same for every type and device, so that results can be compared.
class LatticeInput {
 public:
  LatticeInput(int64_t points, int64_t dims, double spread) : points_(points), dims_(dims), spread_(spread) {}

  const kernels::Lattice& lattice() const {
    if (!*made_) {
      const Tensor features =
          make_input({.shape = {points_, dims_}, .fill = Fill::unit}, DType::f32, 0, false, 5);
      for (int64_t i = 0; i < features.numel(); ++i) features.data<float>()[i] *= static_cast<float>(spread_);
      *made_ = std::make_shared<kernels::Lattice>(kernels::lattice_build(features));
    }
    return **made_;
  }
  // For values like `t`.
  kernels::Lattice like(const Tensor& t) const {
    return kernels::lattice_to(kernels::lattice_to(lattice(), t.dtype()), t.device());
  }

 private:
  int64_t points_, dims_;
  double spread_;
  std::shared_ptr<std::shared_ptr<kernels::Lattice>> made_ =
      std::make_shared<std::shared_ptr<kernels::Lattice>>();
};

}  // namespace atrous::cases
