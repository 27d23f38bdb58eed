// The update as the formulas in mean_field.h read, in double.
#include <algorithm>
#include <cmath>

#include "kernels/common/visit.h"
#include "kernels/lattice_filter/lattice_filter.h"
#include "kernels/mean_field/mean_field_impl.h"

namespace atrous::kernels::mean_field_impl {
namespace {

using Row = std::vector<double>;

template <class T>
void add_row(const Tensor& rows, int64_t i, double factor, Row& sum) {
  const T* from = rows.data<T>() + i * rows.pixel_stride();
  for (size_t c = 0; c < sum.size(); ++c) sum[c] += factor * static_cast<double>(from[c]);
}

// v of pixel i.
template <class T>
Row filtered(const MeanFieldTerm& term, int64_t i, size_t channels) {
  Row v(channels);
  if (term.filtered.defined()) {
    add_row<T>(term.filtered, i, 1, v);
    return v;
  }
  const int64_t corners = term.lattice.dims + 1;
  for (int64_t k = i * corners; k < (i + 1) * corners; ++k) {
    const double weight =
        lattice_alpha(term.lattice.dims) * static_cast<double>(term.lattice.weight.data<T>()[k]);
    add_row<T>(term.vertex_values, term.lattice.vertex.data<int32_t>()[k], weight, v);
  }
  return v;
}

// z -= C(v)
template <class T>
void subtract_cost(const Tensor& compatibility, const Row& v, Row& z) {
  const T* factor = compatibility.data<T>();
  const size_t channels = v.size();
  for (size_t c = 0; c < channels; ++c) {
    if (compatibility.rank() == 1) {
      z[c] -= static_cast<double>(factor[compatibility.numel() == 1 ? 0 : c]) * v[c];
      continue;
    }
    for (size_t j = 0; j < channels; ++j) z[c] -= static_cast<double>(factor[c * channels + j]) * v[j];
  }
}

}  // namespace

void update_ref(const MeanFieldProblem& p, const Tensor& log_unary, const std::vector<MeanFieldTerm>& terms,
                const Tensor& q) {
  visit_float(p.dtype, [&](auto tag) {
    using T = decltype(tag);
    const auto channels = static_cast<size_t>(p.channels);
    for (int64_t i = 0; i < p.points; ++i) {
      Row z(channels);
      add_row<T>(log_unary, i, 1, z);
      for (const MeanFieldTerm& term : terms)
        subtract_cost<T>(term.compatibility, filtered<T>(term, i, channels), z);
      const double max = *std::max_element(z.begin(), z.end());
      double sum = 0;
      for (double& x : z) sum += x = std::exp(x - max);
      for (size_t c = 0; c < channels; ++c)
        q.data<T>()[static_cast<size_t>(i) * channels + c] = static_cast<T>(z[c] / sum);
    }
  });
}

void unary_ref(const MeanFieldProblem& p, const Tensor& probabilities, const Tensor& log_unary,
               const Tensor& first_bad) {
  visit_float(p.dtype, [&](auto tag) {
    using T = decltype(tag);
    int64_t bad = p.points;
    for (int64_t i = p.points - 1; i >= 0; --i) {
      const T* from = probabilities.data<T>() + i * probabilities.pixel_stride();
      double sum = 0;
      bool good = true;
      for (int64_t c = 0; c < p.channels; ++c) {
        const auto x = static_cast<double>(from[c]);
        good = good && x >= 0;  // false for NaN
        sum += x;
        // NaN, which is refused afterwards, counts as the least.
        log_unary.data<T>()[i * p.channels + c] = static_cast<T>(std::log(std::max(least_probability, x)));
      }
      if (!good || !(std::abs(sum - 1) <= probability_sum_tolerance)) bad = i;
    }
    first_bad.data<int32_t>()[0] = static_cast<int32_t>(bad);
  });
}

}  // namespace atrous::kernels::mean_field_impl
