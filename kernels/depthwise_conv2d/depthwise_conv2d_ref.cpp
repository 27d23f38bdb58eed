// The specification of depthwise_conv2d: every product of the formula in depthwise_conv2d.h, summed in
// double.
#include <vector>

#include "kernels/common/visit.h"
#include "kernels/depthwise_conv2d/depthwise_conv2d_impl.h"

namespace atrous::kernels {
namespace {

// Element `channel` of pixel `pixel`.
template <class T>
T& at(const Tensor& t, int64_t pixel, int64_t channel) {
  return t.data<T>()[pixel * t.pixel_stride() + channel];
}

// Calls f(y pixel, x pixel, tap) for every tap of every output pixel that hits x.
template <class F>
void for_each_tap(const Conv2dProblem& p, F f) {
  const int64_t rows = p.p(), columns = p.q();
  for (int64_t out = 0; out < p.n * rows * columns; ++out) {
    const int64_t q = out % columns, row = out / columns % rows, n = out / (columns * rows);
    for (int64_t tap = 0; tap < p.r * p.s; ++tap) {
      const int64_t h = row * p.stride_h + tap / p.s * p.dilation_h - p.pad_h;
      const int64_t w = q * p.stride_w + tap % p.s * p.dilation_w - p.pad_w;
      if (h >= 0 && h < p.h && w >= 0 && w < p.w) f(out, (n * p.h + h) * p.w + w, tap);
    }
  }
}

template <class T>
void store(const std::vector<double>& sums, const Tensor& t) {
  for (int64_t i = 0; i < t.numel(); ++i) {
    at<T>(t, i / t.channels(), i % t.channels()) = static_cast<T>(sums[static_cast<size_t>(i)]);
  }
}

}  // namespace

void depthwise_forward_ref(const Conv2dProblem& p, const Tensor& x, const Tensor& w, const Tensor& bias,
                           const Tensor& y) {
  visit_float(p.dtype, [&](auto type) {
    using T = decltype(type);
    const int64_t taps = p.r * p.s, multiplier = p.k / p.c;
    std::vector<double> sums(static_cast<size_t>(y.numel()));
    if (bias.defined()) {
      for (size_t i = 0; i < sums.size(); ++i) sums[i] = bias.data<T>()[static_cast<int64_t>(i) % p.k];
    }
    for_each_tap(p, [&](int64_t out, int64_t in, int64_t tap) {
      for (int64_t k = 0; k < p.k; ++k) {
        const double product =
            static_cast<double>(at<T>(x, in, k / multiplier)) * at<T>(w, k * taps + tap, 0);
        sums[static_cast<size_t>(out * p.k + k)] += product;
      }
    });
    store<T>(sums, y);
  });
}

void depthwise_backward_input_ref(const Conv2dProblem& p, const Tensor& dy, const Tensor& w,
                                  const Tensor& dx) {
  visit_float(p.dtype, [&](auto type) {
    using T = decltype(type);
    const int64_t taps = p.r * p.s, multiplier = p.k / p.c;
    std::vector<double> sums(static_cast<size_t>(dx.numel()));
    for_each_tap(p, [&](int64_t out, int64_t in, int64_t tap) {
      for (int64_t k = 0; k < p.k; ++k) {
        const double product = static_cast<double>(at<T>(dy, out, k)) * at<T>(w, k * taps + tap, 0);
        sums[static_cast<size_t>(in * p.c + k / multiplier)] += product;
      }
    });
    store<T>(sums, dx);
  });
}

void depthwise_backward_weight_ref(const Conv2dProblem& p, const Tensor& dy, const Tensor& x,
                                   const Tensor& dw) {
  visit_float(p.dtype, [&](auto type) {
    using T = decltype(type);
    const int64_t taps = p.r * p.s, multiplier = p.k / p.c;
    std::vector<double> sums(static_cast<size_t>(dw.numel()));
    for_each_tap(p, [&](int64_t out, int64_t in, int64_t tap) {
      for (int64_t k = 0; k < p.k; ++k) {
        const double product = static_cast<double>(at<T>(dy, out, k)) * at<T>(x, in, k / multiplier);
        sums[static_cast<size_t>(k * taps + tap)] += product;
      }
    });
    store<T>(sums, dw);
  });
}

}  // namespace atrous::kernels
