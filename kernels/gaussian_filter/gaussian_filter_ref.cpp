// Two passes, as the formula in gaussian_filter.h reads, with the sums in double.
#include <algorithm>

#include "kernels/common/visit.h"
#include "kernels/gaussian_filter/gaussian_filter_impl.h"

namespace atrous::kernels::gaussian_filter_impl {
namespace {

// The layout of one axis of a map: `length` positions, `step` elements apart.
void along_axis(const std::vector<double>& taps, const double* from, double* to, int64_t length,
                int64_t step) {
  const auto radius = static_cast<int64_t>(taps.size()) - 1;
  for (int64_t i = 0; i < length; ++i) {
    double sum = 0;
    for (int64_t j = std::max<int64_t>(0, i - radius); j <= std::min(length - 1, i + radius); ++j)
      sum += taps[static_cast<size_t>(std::abs(i - j))] * from[j * step];
    to[i * step] = sum;
  }
}

}  // namespace

void filter_ref(const GaussianFilterProblem& p, const Tensor& x, const Tensor& before, const Tensor& after,
                const Tensor& y) {
  const std::vector<double> row_taps = gaussian_taps(p.sigma, p.width - 1);
  const std::vector<double> column_taps = gaussian_taps(p.sigma, p.height - 1);
  const int64_t pixels = p.height * p.width;
  visit_float(p.dtype, [&](auto tag) {
    using T = decltype(tag);
    const auto factor = [](const Tensor& t, int64_t pixel) {
      return t.defined() ? static_cast<double>(t.data<T>()[pixel]) : 1.0;
    };
    std::vector<double> plane(static_cast<size_t>(pixels)), rows(plane), sums(plane);
    for (int64_t n = 0; n < p.batch; ++n) {
      for (int64_t c = 0; c < p.channels; ++c) {
        for (int64_t i = 0; i < pixels; ++i) {
          const int64_t pixel = n * pixels + i;
          plane[static_cast<size_t>(i)] =
              factor(before, pixel) * static_cast<double>(x.data<T>()[pixel * x.pixel_stride() + c]);
        }
        for (int64_t h = 0; h < p.height; ++h)
          along_axis(row_taps, plane.data() + h * p.width, rows.data() + h * p.width, p.width, 1);
        for (int64_t w = 0; w < p.width; ++w)
          along_axis(column_taps, rows.data() + w, sums.data() + w, p.height, p.width);
        for (int64_t i = 0; i < pixels; ++i) {
          const int64_t pixel = n * pixels + i;
          y.data<T>()[pixel * p.channels + c] =
              static_cast<T>(factor(after, pixel) * sums[static_cast<size_t>(i)]);
        }
      }
    }
  });
}

}  // namespace atrous::kernels::gaussian_filter_impl
