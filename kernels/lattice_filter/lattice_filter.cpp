#include "kernels/lattice_filter/lattice_filter.h"

#include <cmath>

#include "core/parallel.h"
#include "kernels/common/entry.h"
#include "kernels/lattice_filter/lattice_filter_impl.h"

namespace atrous::kernels {
namespace lattice_filter_impl {
namespace {

constexpr Entry<LatticeFilterProblem, SplatBlurFn> splat_blur{
    "lattice_filter.splat_blur",
    {
        ATROUS_ON_GPU("naive", f32_only, splat_blur_naive),
        {"avx512", Device::cpu, f32_only, splat_blur_avx512, {.needs = &needs_avx512}},
        {"avx2", Device::cpu, f32_only, splat_blur_avx2, {.needs = &needs_avx2}},
        {"portable", Device::cpu, f32_only, splat_blur_portable},
        {"ref", Device::cpu, always, splat_blur_ref},
    }};
constexpr Entry<LatticeFilterProblem, SliceFn> slice{
    "lattice_filter.slice",
    {
        ATROUS_ON_GPU("naive", f32_only, slice_naive),
        {"avx512", Device::cpu, f32_only, slice_avx512, {.needs = &needs_avx512}},
        {"avx2", Device::cpu, f32_only, slice_avx2, {.needs = &needs_avx2}},
        {"portable", Device::cpu, f32_only, slice_portable},
        {"ref", Device::cpu, always, slice_ref},
    }};

LatticeFilterProblem checked(const char* where, const Lattice& lattice, const Tensor& rows, int64_t count,
                             bool transposed) {
  ATROUS_CHECK(lattice.weight.defined(), ErrorKind::usage,
               "[{}] the lattice is empty. Build one with lattice_build.", where);
  ATROUS_CHECK(rows.defined() && rows.rank() >= 2 && rows.channels() > 0 && rows.pixels() == count &&
                   rows.dtype() == lattice.weight.dtype(),
               ErrorKind::usage, "[{}] needs {} rows of channels in {}, as the lattice has it. Got {}.",
               where, count, name_of(lattice.weight.dtype()), rows.defined() ? rows.describe() : "nothing");
  return {lattice.points, lattice.dims, lattice.vertices, rows.channels(), transposed, rows.dtype()};
}

// [V, C], uninitialised, rows apart by a multiple of 8 elements: rows begin on the borders of vectors.
Tensor padded_rows(int64_t rows, int64_t channels, DType dtype, Device device) {
  return Tensor::empty({rows, (channels + 7) / 8 * 8}, dtype, device).narrow_channels(0, channels);
}

}  // namespace
}  // namespace lattice_filter_impl

std::string LatticeFilterProblem::str() const {
  return fmt::format("n{} d{} v{} c{}{} {}", points, dims, vertices, channels,
                     transposed ? " transposed" : "", name_of(dtype));
}

double lattice_alpha(int64_t dims) {
  return 1 / (1 + std::exp2(-static_cast<double>(dims)));
}

Tensor lattice_splat_blur(const Lattice& lattice, const Tensor& values, bool transposed,
                          LatticeBuffers* buffers) {
  using namespace lattice_filter_impl;
  const auto problem = checked("lattice_splat_blur", lattice, values, lattice.points, transposed);
  LatticeBuffers own;
  LatticeBuffers& memory = buffers ? *buffers : own;
  for (Tensor* t : {&memory.result, &memory.scratch}) {
    if (t == &memory.scratch && lattice.walks.defined()) continue;  // blurs in place
    if (!t->defined() || t->shape() != Shape{problem.vertices, problem.channels} ||
        t->dtype() != problem.dtype || t->pixel_stride() % 8 != 0 || t->device() != values.device()) {
      *t = padded_rows(problem.vertices, problem.channels, problem.dtype, values.device());
    }
  }
  const Tensor v = memory.result;
  splat_blur(problem, lattice, values, writes(v), scratch(memory.scratch));
  return v;
}

Tensor lattice_slice(const Lattice& lattice, const Tensor& vertex_values) {
  using namespace lattice_filter_impl;
  const auto problem = checked("lattice_slice", lattice, vertex_values, lattice.vertices, false);
  const Tensor y = Tensor::empty({problem.points, problem.channels}, problem.dtype, vertex_values.device());
  slice(problem, lattice, vertex_values, writes(y));
  return y;
}

Tensor lattice_filter(const Lattice& lattice, const Tensor& values, bool transposed) {
  return lattice_slice(lattice, lattice_splat_blur(lattice, values, transposed)).reshape(values.shape());
}

Lattice lattice_to(const Lattice& lattice, DType dtype) {
  Lattice result = lattice;
  result.weight = lattice.weight.to(dtype);
  return result;
}

Lattice lattice_to(const Lattice& lattice, Device device) {
  Lattice result = lattice;
  for (Tensor* t :
       {&result.vertex, &result.weight, &result.neighbours, &result.splat_begin, &result.splat_entry}) {
    *t = t->to(device);
  }
  if (device != Device::cpu) result.walks = {};
  return result;
}

Lattice lattice_with_walks(const Lattice& lattice) {
  if (lattice.weight.device() != Device::cpu) return lattice;
  Lattice result = lattice;
  result.walks = Tensor::zeros({lattice.dims + 1, 1 + lattice.vertices}, DType::i32);
  parallel_for(lattice.dims + 1, 1, [&](int64_t axis, int64_t) {
    const int32_t* neighbours = lattice.neighbours.data<int32_t>() + axis * lattice.vertices * 2;
    int32_t* const row = result.walks.data<int32_t>() + axis * (1 + lattice.vertices);
    int32_t* entry = row + 1;
    for (int32_t first = 0; first < lattice.vertices; ++first) {
      if (neighbours[2 * first] >= 0 || neighbours[2 * first + 1] < 0) continue;
      int32_t v = first;
      for (; neighbours[2 * v + 1] >= 0; v = neighbours[2 * v + 1]) *entry++ = v;
      *entry++ = ~v;
    }
    row[0] = static_cast<int32_t>(entry - row - 1);
  });
  return result;
}

EntryList lattice_filter_entries() {
  return {&lattice_filter_impl::splat_blur, &lattice_filter_impl::slice};
}

}  // namespace atrous::kernels
