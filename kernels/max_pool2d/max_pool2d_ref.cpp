// Max pooling as the formulas in max_pool2d.h read.
#include <limits>

#include "kernels/max_pool2d/max_pool2d_impl.h"

namespace atrous::kernels {
namespace {

// Element (pixel, channel) of a tensor seen as a list of pixels.
template <class T>
T& at(const Tensor& t, int64_t pixel, int64_t channel) {
  return t.data<T>()[pixel * t.pixel_stride() + channel];
}

template <class T>
void forward(const Pool2dProblem& p, const Tensor& x, const Tensor& y, const Tensor& indices) {
  const Pool2dOptions& o = p.options;
  for (int64_t out = 0; out < y.pixels(); ++out) {
    const int64_t ow = out % p.out_width, oh = out / p.out_width % p.out_height;
    const int64_t image = out / (p.out_width * p.out_height) * p.height * p.width;
    for (int64_t c = 0; c < p.channels; ++c) {
      T best = -std::numeric_limits<T>::infinity();
      int64_t index = -1;
      for (int64_t r = 0; r < o.kernel_h; ++r) {
        for (int64_t s = 0; s < o.kernel_w; ++s) {
          const int64_t h = oh * o.stride_h - o.pad_h + r * o.dilation_h;
          const int64_t w = ow * o.stride_w - o.pad_w + s * o.dilation_w;
          if (h < 0 || h >= p.height || w < 0 || w >= p.width) continue;
          const T v = at<T>(x, image + h * p.width + w, c);
          if (index < 0 || v > best || v != v) {
            best = v;
            index = h * p.width + w;
          }
        }
      }
      at<T>(y, out, c) = best;
      if (indices.defined()) at<int32_t>(indices, out, c) = static_cast<int32_t>(index);
    }
  }
}

template <class T>
void backward(const Pool2dProblem& p, const Tensor& dy, const Tensor& indices, const Tensor& dx) {
  dx.fill(0);
  for (int64_t out = 0; out < dy.pixels(); ++out) {
    const int64_t image = out / (p.out_width * p.out_height) * p.height * p.width;
    for (int64_t c = 0; c < p.channels; ++c) {
      const int32_t index = at<int32_t>(indices, out, c);
      if (index >= 0) at<T>(dx, image + index, c) += at<T>(dy, out, c);
    }
  }
}

// Calls f(pooled pixel, full pixel, channel) in row order.
template <class F>
void for_each_pair(const MaxUnpool2dProblem& p, const Tensor& indices, F f) {
  for (int64_t out = 0; out < indices.pixels(); ++out) {
    const int64_t image = out / (p.pooled[1] * p.pooled[2]) * p.full[1] * p.full[2];
    for (int64_t c = 0; c < p.pooled[3]; ++c) f(out, image + at<int32_t>(indices, out, c), c);
  }
}

template <class T>
void unpool(const MaxUnpool2dProblem& p, const Tensor& x, const Tensor& indices, const Tensor& y) {
  y.fill(0);
  for_each_pair(p, indices,
                [&](int64_t from, int64_t to, int64_t c) { at<T>(y, to, c) = at<T>(x, from, c); });
}

template <class T>
void unpool_backward(const MaxUnpool2dProblem& p, const Tensor& dy, const Tensor& indices, const Tensor& dx) {
  for_each_pair(p, indices,
                [&](int64_t to, int64_t from, int64_t c) { at<T>(dx, to, c) = at<T>(dy, from, c); });
}

}  // namespace

void max_pool2d_forward_ref(const Pool2dProblem& p, const Tensor& x, const Tensor& y, const Tensor& indices) {
  p.dtype == DType::f32 ? forward<float>(p, x, y, indices) : forward<double>(p, x, y, indices);
}
void max_pool2d_backward_ref(const Pool2dProblem& p, const Tensor& dy, const Tensor& indices,
                             const Tensor& dx) {
  p.dtype == DType::f32 ? backward<float>(p, dy, indices, dx) : backward<double>(p, dy, indices, dx);
}
void max_unpool2d_forward_ref(const MaxUnpool2dProblem& p, const Tensor& x, const Tensor& indices,
                              const Tensor& y) {
  p.dtype == DType::f32 ? unpool<float>(p, x, indices, y) : unpool<double>(p, x, indices, y);
}
void max_unpool2d_backward_ref(const MaxUnpool2dProblem& p, const Tensor& dy, const Tensor& indices,
                               const Tensor& dx) {
  p.dtype == DType::f32 ? unpool_backward<float>(p, dy, indices, dx)
                        : unpool_backward<double>(p, dy, indices, dx);
}

}  // namespace atrous::kernels
