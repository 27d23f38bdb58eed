// Softmax over runs of pixels with L-wide vectors. Included by files that are compiled per instruction set.
#pragma once

#include "kernels/cross_entropy/pixel_lanes.h"
#include "kernels/softmax/softmax_impl.h"

namespace atrous::kernels::softmax_impl {
namespace {

template <int L, int NV>
void forward_pixels(const ForwardRun& r) {
  using V = Lanes<L>;
  const auto c = static_cast<int>(r.channels);
  PixelLogits<L, NV> z((c + L - 1) / L);
  const int64_t padded = z.vectors * L;
  for (int64_t i = 0; i < r.count; ++i) {
    const float* x = r.x + i * r.stride;
    const bool whole = i * r.stride + padded <= (r.count - 1) * r.stride + c;
    float max, sum;
    z.load(x, c, whole, -__builtin_inff());
    z.exponentials(max, sum);
    if (r.log) {
      // Subtracted in two steps: max may be large and log(sum) small.
      const typename V::F log_sum = V::all(log_approx(sum));
      z.load(x, c, whole, 0.0f);
      for (int j = 0; j < z.vectors; ++j) z.v[j] = (z.v[j] - max) - log_sum;
    } else {
      const float inverse = 1.0f / sum;
      for (int j = 0; j < z.vectors; ++j) z.v[j] *= inverse;
    }
    z.store(r.y + i * c, c, i * c + padded <= r.count * c);
  }
}

template <int L, int NV>
void backward_pixels(const BackwardRun& r) {
  using V = Lanes<L>;
  const auto c = static_cast<int>(r.channels);
  PixelLogits<L, NV> y((c + L - 1) / L), g((c + L - 1) / L);
  const int64_t padded = y.vectors * L;
  for (int64_t i = 0; i < r.count; ++i) {
    y.load(r.y + i * r.y_stride, c, i * r.y_stride + padded <= (r.count - 1) * r.y_stride + c, 0.0f);
    g.load(r.dy + i * r.dy_stride, c, i * r.dy_stride + padded <= (r.count - 1) * r.dy_stride + c, 0.0f);
    typename V::F sum{};
    for (int j = 0; j < y.vectors; ++j) sum += r.log ? g.v[j] : g.v[j] * y.v[j];
    const float total = V::sum_of(sum)[0];
    for (int j = 0; j < y.vectors; ++j) {
      g.v[j] = r.log ? g.v[j] - V::exp(y.v[j]) * total : y.v[j] * (g.v[j] - total);
    }
    g.store(r.dx + i * c, c, i * c + padded <= r.count * c);
  }
}

template <int L>
void forward_any(const ForwardRun& r) {
  switch ((r.channels + L - 1) / L) {
    case 1: return forward_pixels<L, 1>(r);
    case 2: return forward_pixels<L, 2>(r);
    case 3: return forward_pixels<L, 3>(r);
    case 4: return forward_pixels<L, 4>(r);
    default: return forward_pixels<L, 0>(r);
  }
}

template <int L>
void backward_any(const BackwardRun& r) {
  switch ((r.channels + L - 1) / L) {
    case 1: return backward_pixels<L, 1>(r);
    case 2: return backward_pixels<L, 2>(r);
    default: return backward_pixels<L, 0>(r);
  }
}

}  // namespace
}  // namespace atrous::kernels::softmax_impl
