// Adaptive average pooling as the formula in adaptive_avg_pool2d.h reads.
#include <vector>

#include "kernels/adaptive_avg_pool2d/adaptive_avg_pool2d_impl.h"

namespace atrous::kernels {
namespace {

struct Bin {
  int64_t begin, end;
};
Bin bin(int64_t i, int64_t in, int64_t out) {
  return {i * in / out, ((i + 1) * in + out - 1) / out};
}

// Calls f(output pixel, input pixel, pixels of the bin) for every pixel of every bin, in row order.
template <class F>
void for_each_pair(const AdaptiveAvgPool2dProblem& p, F f) {
  int64_t out = 0;
  for (int64_t n = 0; n < p.batch; ++n) {
    for (int64_t oh = 0; oh < p.out_height; ++oh) {
      for (int64_t ow = 0; ow < p.out_width; ++ow, ++out) {
        const Bin rows = bin(oh, p.height, p.out_height), cols = bin(ow, p.width, p.out_width);
        const auto count = static_cast<double>((rows.end - rows.begin) * (cols.end - cols.begin));
        for (int64_t h = rows.begin; h < rows.end; ++h) {
          for (int64_t w = cols.begin; w < cols.end; ++w) f(out, (n * p.height + h) * p.width + w, count);
        }
      }
    }
  }
}

template <class T>
void forward(const AdaptiveAvgPool2dProblem& p, const Tensor& x, const Tensor& y) {
  std::vector<double> sums(static_cast<size_t>(y.numel())), counts(static_cast<size_t>(y.pixels()));
  for_each_pair(p, [&](int64_t out, int64_t in, double count) {
    counts[static_cast<size_t>(out)] = count;
    for (int64_t c = 0; c < p.channels; ++c) {
      sums[static_cast<size_t>(out * p.channels + c)] += x.data<T>()[in * x.pixel_stride() + c];
    }
  });
  for (int64_t i = 0; i < y.numel(); ++i) {
    const int64_t pixel = i / p.channels;
    y.data<T>()[pixel * y.pixel_stride() + i % p.channels] =
        static_cast<T>(sums[static_cast<size_t>(i)] / counts[static_cast<size_t>(pixel)]);
  }
}

template <class T>
void backward(const AdaptiveAvgPool2dProblem& p, const Tensor& dy, const Tensor& dx) {
  std::vector<double> sums(static_cast<size_t>(dx.numel()));
  for_each_pair(p, [&](int64_t out, int64_t in, double count) {
    for (int64_t c = 0; c < p.channels; ++c) {
      sums[static_cast<size_t>(in * p.channels + c)] += dy.data<T>()[out * dy.pixel_stride() + c] / count;
    }
  });
  for (int64_t i = 0; i < dx.numel(); ++i) {
    dx.data<T>()[i / p.channels * dx.pixel_stride() + i % p.channels] =
        static_cast<T>(sums[static_cast<size_t>(i)]);
  }
}

}  // namespace

void adaptive_avg_pool2d_forward_ref(const AdaptiveAvgPool2dProblem& p, const Tensor& x, const Tensor& y) {
  p.dtype == DType::f32 ? forward<float>(p, x, y) : forward<double>(p, x, y);
}
void adaptive_avg_pool2d_backward_ref(const AdaptiveAvgPool2dProblem& p, const Tensor& dy, const Tensor& dx) {
  p.dtype == DType::f32 ? backward<float>(p, dy, dx) : backward<double>(p, dy, dx);
}

}  // namespace atrous::kernels
