// The implementations behind lattice_filter.h; arguments are checked already.
#pragma once

#include "kernels/gpu/declare.h"
#include "kernels/lattice_filter/lattice_filter.h"

namespace atrous::kernels::lattice_filter_impl {

// The tensors of the lattice are contiguous. There are points and channels.
using SplatBlurFn = void(const LatticeFilterProblem&, const Lattice&, const Tensor& values,
                         const Tensor& vertex_values);
using SliceFn = void(const LatticeFilterProblem&, const Lattice&, const Tensor& vertex_values,
                     const Tensor& y);
SplatBlurFn splat_blur_ref;
SliceFn slice_ref;
ATROUS_DECLARE_ON_GPU(SplatBlurFn splat_blur_naive; SliceFn slice_naive;)

// [V, C], uninitialised, rows apart by a multiple of 8 elements: rows begin on the borders of vectors.
Tensor padded_rows(int64_t rows, int64_t channels, DType dtype, Device device);

}  // namespace atrous::kernels::lattice_filter_impl
