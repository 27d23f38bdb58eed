// Differentiable filtering on a permutohedral lattice (kernels/lattice_filter/lattice_filter.h).
#pragma once

#include "core/autograd.h"
#include "kernels/lattice_filter/lattice_filter.h"

namespace atrous::layers {

// values: one row of channels per point of the lattice, in any shape -> the same shape. Gradients flow to the
// values; the lattice, thus the features, is a constant.
Variable lattice_filter(const kernels::Lattice& lattice, const Variable& values);

}  // namespace atrous::layers
