// Splits vertices and points into runs for the vector kernels. A vertex adds up its entries in their order,
// whichever thread computes it.
#include <algorithm>

#include "core/parallel.h"
#include "kernels/lattice_filter/lattice_filter_lanes.h"

namespace atrous::kernels::lattice_filter_impl {

const Runs runs_portable = runs<4>;

namespace {

int64_t rows_per_run(const LatticeFilterProblem& p) {
  return std::max<int64_t>(64, (1 << 15) / p.channels);
}

void splat_into(const Tensor& v, const Runs& with, const LatticeFilterProblem& p, const Lattice& lattice,
                const Tensor& values) {
  const int64_t corners = p.dims + 1, threads = num_threads();
  const int channels = static_cast<int>(p.channels);
  if (threads > 2 * corners) {  // more than scatter can keep busy
    const SplatRun splat{lattice.splat_begin.data<int32_t>(),
                         lattice.splat_entry.data<int32_t>(),
                         lattice.weight.data<float>(),
                         static_cast<int>(corners),
                         values.data<float>(),
                         values.pixel_stride(),
                         v.data<float>(),
                         v.pixel_stride(),
                         channels};
    return parallel_for(p.vertices, rows_per_run(p),
                        [&](int64_t begin, int64_t end) { with.splat(splat, begin, end); });
  }
  parallel_for(p.vertices, rows_per_run(p), [&](int64_t begin, int64_t end) {
    // All but the padding of the last row, which may lie outside of the memory.
    const int64_t last =
        end == p.vertices ? (end - 1) * v.pixel_stride() + p.channels : end * v.pixel_stride();
    std::fill(v.data<float>() + begin * v.pixel_stride(), v.data<float>() + last, 0.0f);
  });
  const ScatterRun scatter{lattice.vertex.data<int32_t>(),
                           lattice.weight.data<float>(),
                           static_cast<int>(corners),
                           values.data<float>(),
                           values.pixel_stride(),
                           p.points,
                           v.data<float>(),
                           v.pixel_stride(),
                           channels};
  parallel_for(corners, (corners + threads - 1) / threads,
               [&](int64_t begin, int64_t end) { with.scatter(scatter, begin, end); });
}

void splat_blur_with(const Runs& with, const LatticeFilterProblem& p, const Lattice& lattice,
                     const Tensor& values, const Tensor& vertex_values, const Tensor& scratch) {
  const bool in_place = lattice.walks.defined();
  const int64_t axes = p.dims + 1;
  Tensor from = in_place ? vertex_values : scratch, to = vertex_values;
  if (axes % 2 == 0) std::swap(from, to);  // so that the last blur ends in vertex_values
  splat_into(from, with, p, lattice, values);
  const int channels = static_cast<int>(p.channels);
  const Tensor zeros = Tensor::zeros({from.pixel_stride()});
  for (int64_t i = 0; i < axes; ++i) {
    const int64_t axis = p.transposed ? axes - 1 - i : i;
    if (in_place) {
      const int32_t* walk = lattice.walks.data<int32_t>() + axis * (1 + p.vertices);
      const WalkRun run{walk + 1, walk[0], to.data<float>(), to.pixel_stride(), channels};
      parallel_for(run.count, rows_per_run(p),
                   [&](int64_t begin, int64_t end) { with.walk(run, begin, end); });
      continue;
    }
    const BlurRun blur{lattice.neighbours.data<int32_t>() + axis * p.vertices * 2,
                       from.data<float>(),
                       to.data<float>(),
                       from.pixel_stride(),
                       channels,
                       zeros.data<float>()};
    parallel_for(p.vertices, rows_per_run(p),
                 [&](int64_t begin, int64_t end) { with.blur(blur, begin, end); });
    std::swap(from, to);
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
