// Local response normalisation as the formulas in local_response_norm.h read.
#include <algorithm>
#include <cmath>

#include "kernels/common/visit.h"
#include "kernels/local_response_norm/local_response_norm_impl.h"

namespace atrous::kernels {
namespace {

template <class T>
double scale(const LocalResponseNormOptions& o, const T* x, int64_t c, int64_t channels) {
  double sum = 0;
  for (int64_t j = std::max<int64_t>(0, c - o.size / 2); j <= std::min(channels - 1, c + (o.size - 1) / 2);
       ++j) {
    sum += static_cast<double>(x[j]) * static_cast<double>(x[j]);
  }
  return o.k + o.alpha / static_cast<double>(o.size) * sum;
}

}  // namespace

void local_response_norm_forward_ref(const LocalResponseNormProblem& p, const Tensor& x, const Tensor& y) {
  visit_float(p.dtype, [&](auto type) {
    using T = decltype(type);
    for (int64_t i = 0; i < x.pixels(); ++i) {
      const T* from = x.data<T>() + i * x.pixel_stride();
      T* to = y.data<T>() + i * y.pixel_stride();
      for (int64_t c = 0; c < x.channels(); ++c) {
        to[c] = static_cast<T>(from[c] * std::pow(scale(p.options, from, c, x.channels()), -p.options.beta));
      }
    }
  });
}

void local_response_norm_backward_ref(const LocalResponseNormProblem& p, const Tensor& dy, const Tensor& x,
                                      const Tensor& dx) {
  const LocalResponseNormOptions& o = p.options;
  visit_float(p.dtype, [&](auto type) {
    using T = decltype(type);
    const int64_t channels = x.channels();
    for (int64_t i = 0; i < x.pixels(); ++i) {
      const T* from = x.data<T>() + i * x.pixel_stride();
      const T* gradient = dy.data<T>() + i * dy.pixel_stride();
      for (int64_t c = 0; c < channels; ++c) {
        double sum = 0;
        for (int64_t j = std::max<int64_t>(0, c - (o.size - 1) / 2);
             j <= std::min(channels - 1, c + o.size / 2); ++j) {
          sum += static_cast<double>(gradient[j]) * static_cast<double>(from[j]) *
                 std::pow(scale(o, from, j, channels), -o.beta - 1);
        }
        const double direct =
            static_cast<double>(gradient[c]) * std::pow(scale(o, from, c, channels), -o.beta);
        const double through_scale = 2 * o.alpha * o.beta / static_cast<double>(o.size) * from[c] * sum;
        dx.data<T>()[i * dx.pixel_stride() + c] = static_cast<T>(direct - through_scale);
      }
    }
  });
}

}  // namespace atrous::kernels
