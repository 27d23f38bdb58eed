#include <algorithm>
#include <cmath>

#include "kernels/common/visit.h"
#include "kernels/softmax/softmax_impl.h"

namespace atrous::kernels::softmax_impl {

void forward_ref(const SoftmaxProblem& p, const Tensor& x, const Tensor& y) {
  visit_float(p.dtype, [&](auto tag) {
    using T = decltype(tag);
    for (int64_t i = 0; i < p.pixels; ++i) {
      const T* in = x.data<T>() + i * x.pixel_stride();
      T* out = y.data<T>() + i * y.pixel_stride();
      const auto max = static_cast<double>(*std::max_element(in, in + p.channels));
      double sum = 0;
      for (int64_t k = 0; k < p.channels; ++k) sum += std::exp(static_cast<double>(in[k]) - max);
      for (int64_t k = 0; k < p.channels; ++k) {
        const double z = static_cast<double>(in[k]) - max;
        out[k] = static_cast<T>(p.log ? z - std::log(sum) : std::exp(z) / sum);
      }
    }
  });
}

void backward_ref(const SoftmaxProblem& p, const Tensor& y, const Tensor& dy, const Tensor& dx) {
  visit_float(p.dtype, [&](auto tag) {
    using T = decltype(tag);
    for (int64_t i = 0; i < p.pixels; ++i) {
      const T* v = y.data<T>() + i * y.pixel_stride();
      const T* g = dy.data<T>() + i * dy.pixel_stride();
      double sum = 0;
      for (int64_t k = 0; k < p.channels; ++k)
        sum += static_cast<double>(g[k]) * (p.log ? 1.0 : static_cast<double>(v[k]));
      for (int64_t k = 0; k < p.channels; ++k) {
        const auto gk = static_cast<double>(g[k]), vk = static_cast<double>(v[k]);
        dx.data<T>()[i * p.channels + k] = static_cast<T>(p.log ? gk - std::exp(vk) * sum : vk * (gk - sum));
      }
    }
  });
}

}  // namespace atrous::kernels::softmax_impl
