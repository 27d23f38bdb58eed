// The implementations behind lattice_filter.h; arguments are checked already.
#pragma once

#include "kernels/gpu/declare.h"
#include "kernels/lattice_filter/lattice_filter.h"

namespace atrous::kernels::lattice_filter_impl {

// The tensors of the lattice are contiguous. There are points and channels. Vertex values that are written,
// and scratch, which is like them, have rows apart by a multiple of 8 floats.
using SplatBlurFn = void(const LatticeFilterProblem&, const Lattice&, const Tensor& values,
                         const Tensor& vertex_values, const Tensor& scratch);
using SliceFn = void(const LatticeFilterProblem&, const Lattice&, const Tensor& vertex_values,
                     const Tensor& y);
SplatBlurFn splat_blur_ref, splat_blur_portable, splat_blur_avx2, splat_blur_avx512;
SliceFn slice_ref, slice_portable, slice_avx2, slice_avx512;
ATROUS_DECLARE_ON_GPU(SplatBlurFn splat_blur_naive; SliceFn slice_naive;)

// Arguments of the per-instruction-set files; strides are floats between rows.
struct SplatRun {
  const int32_t* begin;  // of each vertex, in
  const int32_t* entry;
  const float* weight;
  int corners;  // of a simplex
  const float* x;
  int64_t x_stride;
  float* v;
  int64_t v_stride;
  int channels;
};
struct ScatterRun {
  const int32_t* vertex;
  const float* weight;
  int corners;
  const float* x;
  int64_t x_stride;
  int64_t points;
  float* v;  // zeros
  int64_t v_stride;
  int channels;
};
struct WalkRun {
  const int32_t* entry;  // Lattice::walks along one axis
  int64_t count;
  float* v;
  int64_t stride;
  int channels;
};
struct BlurRun {
  const int32_t* neighbours;  // along one axis
  const float* from;
  float* to;
  int64_t stride;
  int channels;
  const float* zeros;  // a row
};
struct SliceRun {
  const int32_t* vertex;
  const float* weight;
  int corners;
  float alpha;
  const float* v;
  int64_t v_stride;
  float* y;
  int channels;
};
// The vertices, corners of every point, entries whose chain begins there, or points [begin, end).
struct Runs {
  void (*splat)(const SplatRun&, int64_t begin, int64_t end);
  void (*scatter)(const ScatterRun&, int64_t begin, int64_t end);
  void (*walk)(const WalkRun&, int64_t begin, int64_t end);
  void (*blur)(const BlurRun&, int64_t begin, int64_t end);
  void (*slice)(const SliceRun&, int64_t begin, int64_t end);
};
extern const Runs runs_portable, runs_avx2, runs_avx512;

}  // namespace atrous::kernels::lattice_filter_impl
