// The reference of layer norm: plain loops, double arithmetic.
#include <cmath>
#include <vector>

#include "kernels/common/visit.h"
#include "kernels/layer_norm/layer_norm_impl.h"

namespace atrous::kernels {

void layer_norm_forward_ref(const LayerNormProblem& problem, const Tensor& x, const Tensor& gamma,
                            const Tensor& beta, const Tensor& y, const Tensor& mean, const Tensor& invstd) {
  visit_float(problem.dtype, [&](auto tag) {
    using T = decltype(tag);
    const auto count = static_cast<double>(x.channels());
    for (int64_t p = 0; p < x.pixels(); ++p) {
      const T* in = x.data<T>() + p * x.pixel_stride();
      T* out = y.data<T>() + p * y.pixel_stride();
      double m = 0, variance = 0;
      for (int64_t c = 0; c < x.channels(); ++c) m += static_cast<double>(in[c]) / count;
      for (int64_t c = 0; c < x.channels(); ++c)
        variance += (static_cast<double>(in[c]) - m) * (static_cast<double>(in[c]) - m) / count;
      const double inv = 1.0 / std::sqrt(variance + problem.eps);
      for (int64_t c = 0; c < x.channels(); ++c) {
        const auto scale = static_cast<double>(gamma.data<T>()[c]),
                   shift = static_cast<double>(beta.data<T>()[c]);
        out[c] = static_cast<T>((static_cast<double>(in[c]) - m) * inv * scale + shift);
      }
      mean.data<T>()[p] = static_cast<T>(m);
      invstd.data<T>()[p] = static_cast<T>(inv);
    }
  });
}

void layer_norm_backward_ref(const LayerNormProblem& problem, const Tensor& x, const Tensor& dy,
                             const Tensor& mean, const Tensor& invstd, const Tensor& gamma, const Tensor& dx,
                             const Tensor& dgamma, const Tensor& dbeta) {
  visit_float(problem.dtype, [&](auto tag) {
    using T = decltype(tag);
    const int64_t channels = x.channels();
    const auto count = static_cast<double>(channels);
    std::vector<double> sum_dy(static_cast<size_t>(channels)), sum_dyxhat(static_cast<size_t>(channels));
    for (int64_t p = 0; p < x.pixels(); ++p) {
      const auto m = static_cast<double>(mean.data<T>()[p]), inv = static_cast<double>(invstd.data<T>()[p]);
      auto g = [&](int64_t c) { return static_cast<double>(dy.data<T>()[p * dy.pixel_stride() + c]); };
      auto h = [&](int64_t c) { return g(c) * static_cast<double>(gamma.data<T>()[c]); };
      auto xhat = [&](int64_t c) {
        return (static_cast<double>(x.data<T>()[p * x.pixel_stride() + c]) - m) * inv;
      };
      double mean_h = 0, mean_hxhat = 0;
      for (int64_t c = 0; c < channels; ++c) {
        mean_h += h(c) / count;
        mean_hxhat += h(c) * xhat(c) / count;
        sum_dy[static_cast<size_t>(c)] += g(c);
        sum_dyxhat[static_cast<size_t>(c)] += g(c) * xhat(c);
      }
      T* out = dx.data<T>() + p * dx.pixel_stride();
      for (int64_t c = 0; c < channels; ++c)
        out[c] = static_cast<T>(inv * (h(c) - mean_h - xhat(c) * mean_hxhat));
    }
    for (int64_t c = 0; c < channels; ++c) {
      dbeta.data<T>()[c] = static_cast<T>(sum_dy[static_cast<size_t>(c)]);
      dgamma.data<T>()[c] = static_cast<T>(sum_dyxhat[static_cast<size_t>(c)]);
    }
  });
}

}  // namespace atrous::kernels
