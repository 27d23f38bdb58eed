// The implementations of lattice_build; private to this folder.
#pragma once

#include "kernels/gpu/declare.h"
#include "kernels/lattice_build/lattice_build.h"

namespace atrous::kernels {

// `features` are contiguous, but not known to be finite. Allocates and writes the tensors of the lattice,
// whose sizes are part of the result.
using LatticeBuildFn = void(const LatticeProblem&, const Tensor& features, Lattice& lattice);
// `image` is contiguous.
using LatticeFeaturesFn = void(const LatticeFeaturesProblem&, const Tensor& image, const Tensor& features);

LatticeBuildFn lattice_build_ref, lattice_build_sorted;
LatticeFeaturesFn lattice_features_ref, lattice_features_rows;
ATROUS_DECLARE_ON_GPU(LatticeBuildFn lattice_build_sorted; LatticeFeaturesFn lattice_features_rows;)

// Throws the error for features of which some reach beyond lattice_most_reach.
[[noreturn]] void refuse_features(const Tensor& features);

// The result for V vertices, on the device of the weights: the rest is allocated, not written.
Lattice empty_lattice(const LatticeProblem& p, const Tensor& weight, int64_t vertices);

}  // namespace atrous::kernels
