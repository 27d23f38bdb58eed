// Splat, blur and slice as the formulas in lattice_filter.h read, in double.
#include <cstddef>

#include "kernels/common/visit.h"
#include "kernels/lattice_filter/lattice_filter_impl.h"

namespace atrous::kernels::lattice_filter_impl {
namespace {

// v + half of the sum of its neighbours along an axis.
std::vector<double> blurred(const Lattice& lattice, int64_t axis, int64_t channels,
                            const std::vector<double>& v) {
  const int32_t* neighbours = lattice.neighbours.data<int32_t>() + axis * lattice.vertices * 2;
  std::vector<double> result = v;
  for (int64_t s = 0; s < lattice.vertices; ++s) {
    for (int64_t side = 0; side < 2; ++side) {
      const int64_t other = neighbours[s * 2 + side];
      if (other < 0) continue;
      for (int64_t c = 0; c < channels; ++c)
        result[static_cast<size_t>(s * channels + c)] += v[static_cast<size_t>(other * channels + c)] / 2;
    }
  }
  return result;
}

}  // namespace

void splat_blur_ref(const LatticeFilterProblem& p, const Lattice& lattice, const Tensor& values,
                    const Tensor& vertex_values, const Tensor&) {
  visit_float(p.dtype, [&](auto tag) {
    using T = decltype(tag);
    std::vector<double> v(static_cast<size_t>(p.vertices * p.channels));
    for (int64_t i = 0; i < p.points; ++i) {
      const T* x = values.data<T>() + i * values.pixel_stride();
      for (int64_t k = i * (p.dims + 1); k < (i + 1) * (p.dims + 1); ++k) {
        const int64_t s = lattice.vertex.data<int32_t>()[k];
        for (int64_t c = 0; c < p.channels; ++c) {
          v[static_cast<size_t>(s * p.channels + c)] +=
              static_cast<double>(lattice.weight.data<T>()[k]) * static_cast<double>(x[c]);
        }
      }
    }
    for (int64_t i = 0; i <= p.dims; ++i) v = blurred(lattice, p.transposed ? p.dims - i : i, p.channels, v);
    for (int64_t s = 0; s < p.vertices; ++s) {
      for (int64_t c = 0; c < p.channels; ++c) {
        vertex_values.data<T>()[s * vertex_values.pixel_stride() + c] =
            static_cast<T>(v[static_cast<size_t>(s * p.channels + c)]);
      }
    }
  });
}

void slice_ref(const LatticeFilterProblem& p, const Lattice& lattice, const Tensor& vertex_values,
               const Tensor& y) {
  visit_float(p.dtype, [&](auto tag) {
    using T = decltype(tag);
    for (int64_t i = 0; i < p.points; ++i) {
      for (int64_t c = 0; c < p.channels; ++c) {
        double sum = 0;
        for (int64_t k = i * (p.dims + 1); k < (i + 1) * (p.dims + 1); ++k) {
          const int64_t s = lattice.vertex.data<int32_t>()[k];
          sum += static_cast<double>(lattice.weight.data<T>()[k]) *
                 static_cast<double>(vertex_values.data<T>()[s * vertex_values.pixel_stride() + c]);
        }
        y.data<T>()[i * p.channels + c] = static_cast<T>(lattice_alpha(p.dims) * sum);
      }
    }
  });
}

}  // namespace atrous::kernels::lattice_filter_impl
