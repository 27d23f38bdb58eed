// Splits vertices and points into runs for the vector kernels. A vertex adds up its entries in their order,
// whichever thread it falls to.
#include <algorithm>

#include "core/parallel.h"
#include "kernels/lattice_filter/lattice_filter_lanes.h"

namespace atrous::kernels::lattice_filter_impl {

const Runs runs_portable = runs<4>;

namespace {

int64_t rows_per_run(const LatticeFilterProblem& p) {
  return std::max<int64_t>(64, (1 << 15) / p.channels);
}

void splat_blur_with(const Runs& with, const LatticeFilterProblem& p, const Lattice& lattice,
                     const Tensor& values, const Tensor& vertex_values, const Tensor& scratch) {
  Tensor from = scratch, to = vertex_values;
  const int64_t axes = p.dims + 1;
  if (axes % 2 == 0) std::swap(from, to);  // so that the last blur ends in vertex_values
  const int channels = static_cast<int>(p.channels);
  const SplatRun splat{lattice.splat_begin.data<int32_t>(),
                       lattice.splat_entry.data<int32_t>(),
                       lattice.weight.data<float>(),
                       static_cast<int>(axes),
                       values.data<float>(),
                       values.pixel_stride(),
                       from.data<float>(),
                       from.pixel_stride(),
                       channels};
  const Tensor zeros = Tensor::zeros({from.pixel_stride()});
  parallel_for(p.vertices, rows_per_run(p),
               [&](int64_t begin, int64_t end) { with.splat(splat, begin, end); });
  for (int64_t i = 0; i < axes; ++i, std::swap(from, to)) {
    const int64_t axis = p.transposed ? axes - 1 - i : i;
    const BlurRun blur{lattice.neighbours.data<int32_t>() + axis * p.vertices * 2,
                       from.data<float>(),
                       to.data<float>(),
                       from.pixel_stride(),
                       channels,
                       zeros.data<float>()};
    parallel_for(p.vertices, rows_per_run(p),
                 [&](int64_t begin, int64_t end) { with.blur(blur, begin, end); });
  }
}

void slice_with(const Runs& with, const LatticeFilterProblem& p, const Lattice& lattice,
                const Tensor& vertex_values, const Tensor& y) {
  const SliceRun slice{lattice.vertex.data<int32_t>(),
                       lattice.weight.data<float>(),
                       static_cast<int>(p.dims) + 1,
                       static_cast<float>(lattice_alpha(p.dims)),
                       vertex_values.data<float>(),
                       vertex_values.pixel_stride(),
                       y.data<float>(),
                       static_cast<int>(p.channels)};
  parallel_for(p.points, rows_per_run(p), [&](int64_t begin, int64_t end) { with.slice(slice, begin, end); });
}

}  // namespace

void splat_blur_portable(const LatticeFilterProblem& p, const Lattice& lattice, const Tensor& values,
                         const Tensor& vertex_values, const Tensor& scratch) {
  splat_blur_with(runs_portable, p, lattice, values, vertex_values, scratch);
}
void splat_blur_avx2(const LatticeFilterProblem& p, const Lattice& lattice, const Tensor& values,
                     const Tensor& vertex_values, const Tensor& scratch) {
  splat_blur_with(runs_avx2, p, lattice, values, vertex_values, scratch);
}
void splat_blur_avx512(const LatticeFilterProblem& p, const Lattice& lattice, const Tensor& values,
                       const Tensor& vertex_values, const Tensor& scratch) {
  splat_blur_with(runs_avx512, p, lattice, values, vertex_values, scratch);
}

void slice_portable(const LatticeFilterProblem& p, const Lattice& lattice, const Tensor& vertex_values,
                    const Tensor& y) {
  slice_with(runs_portable, p, lattice, vertex_values, y);
}
void slice_avx2(const LatticeFilterProblem& p, const Lattice& lattice, const Tensor& vertex_values,
                const Tensor& y) {
  slice_with(runs_avx2, p, lattice, vertex_values, y);
}
void slice_avx512(const LatticeFilterProblem& p, const Lattice& lattice, const Tensor& vertex_values,
                  const Tensor& y) {
  slice_with(runs_avx512, p, lattice, vertex_values, y);
}

}  // namespace atrous::kernels::lattice_filter_impl
