// Average pooling as the formula in avg_pool2d.h reads.
#include <vector>

#include "kernels/avg_pool2d/avg_pool2d_impl.h"

namespace atrous::kernels {
namespace {

// Calls f(output pixel, input pixel, count) for every input pixel of every window, in row order.
template <class F>
void for_each_tap(const AvgPool2dProblem& problem, F f) {
  const Pool2dProblem& p = problem.pool;
  const Pool2dOptions& o = p.options;
  int64_t out = 0;
  for (int64_t n = 0; n < p.batch; ++n) {
    for (int64_t oh = 0; oh < p.out_height; ++oh) {
      for (int64_t ow = 0; ow < p.out_width; ++ow, ++out) {
        const int64_t top = oh * o.stride_h - o.pad_h, left = ow * o.stride_w - o.pad_w;
        const int64_t bottom = std::min(top + o.kernel_h, p.height + o.pad_h);
        const int64_t right = std::min(left + o.kernel_w, p.width + o.pad_w);
        const int64_t padded = (bottom - top) * (right - left);
        const int64_t inside = (std::min(bottom, p.height) - std::max<int64_t>(top, 0)) *
                               (std::min(right, p.width) - std::max<int64_t>(left, 0));
        const int64_t count = problem.count_include_pad ? padded : inside;
        for (int64_t h = std::max<int64_t>(top, 0); h < std::min(bottom, p.height); ++h) {
          for (int64_t w = std::max<int64_t>(left, 0); w < std::min(right, p.width); ++w) {
            f(out, (n * p.height + h) * p.width + w, static_cast<double>(count));
          }
        }
      }
    }
  }
}

template <class T>
void forward(const AvgPool2dProblem& p, const Tensor& x, const Tensor& y) {
  const int64_t channels = p.pool.channels;
  std::vector<double> sums(static_cast<size_t>(y.numel())), counts(static_cast<size_t>(y.pixels()));
  for_each_tap(p, [&](int64_t out, int64_t in, double count) {
    counts[static_cast<size_t>(out)] = count;
    for (int64_t c = 0; c < channels; ++c) {
      sums[static_cast<size_t>(out * channels + c)] += x.data<T>()[in * x.pixel_stride() + c];
    }
  });
  for (int64_t i = 0; i < y.numel(); ++i) {
    const int64_t pixel = i / channels;
    y.data<T>()[pixel * y.pixel_stride() + i % channels] =
        static_cast<T>(sums[static_cast<size_t>(i)] / counts[static_cast<size_t>(pixel)]);
  }
}

template <class T>
void backward(const AvgPool2dProblem& p, const Tensor& dy, const Tensor& dx) {
  const int64_t channels = p.pool.channels;
  std::vector<double> sums(static_cast<size_t>(dx.numel()));
  for_each_tap(p, [&](int64_t out, int64_t in, double count) {
    for (int64_t c = 0; c < channels; ++c) {
      sums[static_cast<size_t>(in * channels + c)] += dy.data<T>()[out * dy.pixel_stride() + c] / count;
    }
  });
  for (int64_t i = 0; i < dx.numel(); ++i) {
    dx.data<T>()[i / channels * dx.pixel_stride() + i % channels] =
        static_cast<T>(sums[static_cast<size_t>(i)]);
  }
}

}  // namespace

void avg_pool2d_forward_ref(const AvgPool2dProblem& p, const Tensor& x, const Tensor& y) {
  p.pool.dtype == DType::f32 ? forward<float>(p, x, y) : forward<double>(p, x, y);
}
void avg_pool2d_backward_ref(const AvgPool2dProblem& p, const Tensor& dy, const Tensor& dx) {
  p.pool.dtype == DType::f32 ? backward<float>(p, dy, dx) : backward<double>(p, dy, dx);
}

}  // namespace atrous::kernels
