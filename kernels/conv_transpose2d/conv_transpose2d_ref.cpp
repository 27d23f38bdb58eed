// The reference of conv_transpose2d: every product of the formula in conv_transpose2d.h, summed in
// double.
#include <vector>

#include "kernels/common/visit.h"
#include "kernels/conv_transpose2d/conv_transpose2d_impl.h"

namespace atrous::kernels {
namespace {

// A tensor as contiguous doubles.
template <class T>
std::vector<double> doubles(const Tensor& t) {
  std::vector<double> result;
  for (int64_t i = 0; i < t.pixels(); ++i) {
    const T* from = t.data<T>() + i * t.pixel_stride();
    result.insert(result.end(), from, from + t.channels());
  }
  return result;
}

template <class T>
void store(const std::vector<double>& values, const Tensor& t) {
  for (size_t i = 0; i < values.size(); ++i) {
    const auto at = static_cast<int64_t>(i);
    t.data<T>()[at / t.channels() * t.pixel_stride() + at % t.channels()] = static_cast<T>(values[i]);
  }
}

// Calls f(x index, filter index, y index) for every product; the indices are those of contiguous tensors.
template <class F>
void for_each_product(const Conv2dProblem& p, F f) {
  const int64_t in_h = p.p(), in_w = p.q(), cg = p.c / p.groups, kg = p.k / p.groups;
  int64_t x = 0;
  for (int64_t n = 0; n < p.n; ++n) {
    for (int64_t h = 0; h < in_h; ++h) {
      for (int64_t w = 0; w < in_w; ++w) {
        for (int64_t k = 0; k < p.k; ++k, ++x) {
          for (int64_t rs = 0; rs < p.r * p.s; ++rs) {
            const int64_t row = h * p.stride_h + rs / p.s * p.dilation_h - p.pad_h;
            const int64_t column = w * p.stride_w + rs % p.s * p.dilation_w - p.pad_w;
            if (row < 0 || row >= p.h || column < 0 || column >= p.w) continue;
            const int64_t y = ((n * p.h + row) * p.w + column) * p.c + k / kg * cg;
            const int64_t filter = (k * p.r * p.s + rs) * cg;
            for (int64_t c = 0; c < cg; ++c) {
              f(static_cast<size_t>(x), static_cast<size_t>(filter + c), static_cast<size_t>(y + c));
            }
          }
        }
      }
    }
  }
}

}  // namespace

void conv_transpose2d_forward_ref(const ConvTranspose2dProblem& p, const Tensor& x, const Tensor& w,
                                  const Tensor& bias, const Tensor& y) {
  visit_float(p.conv.dtype, [&](auto type) {
    using T = decltype(type);
    const std::vector<double> xs = doubles<T>(x), filter = doubles<T>(w);
    std::vector<double> sums(static_cast<size_t>(y.numel()));
    if (bias.defined()) {
      const auto channels = static_cast<size_t>(p.conv.c);
      for (size_t i = 0; i < sums.size(); ++i) sums[i] = bias.data<T>()[i % channels];
    }
    for_each_product(p.conv, [&](size_t xi, size_t fi, size_t yi) { sums[yi] += xs[xi] * filter[fi]; });
    store<T>(sums, y);
  });
}

void conv_transpose2d_backward_input_ref(const ConvTranspose2dProblem& p, const Tensor& dy, const Tensor& w,
                                         const Tensor& dx) {
  visit_float(p.conv.dtype, [&](auto type) {
    using T = decltype(type);
    const std::vector<double> ys = doubles<T>(dy), filter = doubles<T>(w);
    std::vector<double> sums(static_cast<size_t>(dx.numel()));
    for_each_product(p.conv, [&](size_t xi, size_t fi, size_t yi) { sums[xi] += ys[yi] * filter[fi]; });
    store<T>(sums, dx);
  });
}

void conv_transpose2d_backward_weight_ref(const ConvTranspose2dProblem& p, const Tensor& dy, const Tensor& x,
                                          const Tensor& dw) {
  visit_float(p.conv.dtype, [&](auto type) {
    using T = decltype(type);
    const std::vector<double> ys = doubles<T>(dy), xs = doubles<T>(x);
    std::vector<double> sums(static_cast<size_t>(dw.numel()));
    for_each_product(p.conv, [&](size_t xi, size_t fi, size_t yi) { sums[fi] += ys[yi] * xs[xi]; });
    store<T>(sums, dw);
  });
}

}  // namespace atrous::kernels
