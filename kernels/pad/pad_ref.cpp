#include "kernels/common/visit.h"
#include "kernels/pad/pad_impl.h"

namespace atrous::kernels::pad_impl {
namespace {

// f(output pixel, input pixel or -1) for all output pixels.
template <class F>
void for_each_pixel(const PadProblem& p, F f) {
  for (int64_t n = 0; n < p.n; ++n) {
    for (int64_t i = 0; i < p.out_h; ++i) {
      for (int64_t j = 0; j < p.out_w; ++j) {
        const int64_t row = pad_source(p.pads.mode, i, p.pads.top, p.in_h);
        const int64_t column = pad_source(p.pads.mode, j, p.pads.left, p.in_w);
        f((n * p.out_h + i) * p.out_w + j, row < 0 || column < 0 ? -1 : (n * p.in_h + row) * p.in_w + column);
      }
    }
  }
}

}  // namespace

void forward_ref(const PadProblem& p, const Tensor& x, const Tensor& y) {
  visit_float(p.dtype, [&](auto tag) {
    using T = decltype(tag);
    for_each_pixel(p, [&](int64_t to, int64_t from) {
      for (int64_t k = 0; k < p.channels; ++k) {
        y.data<T>()[to * y.pixel_stride() + k] =
            from < 0 ? static_cast<T>(p.pads.value) : x.data<T>()[from * x.pixel_stride() + k];
      }
    });
  });
}

void backward_ref(const PadProblem& p, const Tensor& dy, const Tensor& dx) {
  visit_float(p.dtype, [&](auto tag) {
    using T = decltype(tag);
    std::vector<double> sum(static_cast<size_t>(dx.numel()), 0.0);
    for_each_pixel(p, [&](int64_t to, int64_t from) {
      for (int64_t k = 0; from >= 0 && k < p.channels; ++k) {
        sum[static_cast<size_t>(from * p.channels + k)] +=
            static_cast<double>(dy.data<T>()[to * dy.pixel_stride() + k]);
      }
    });
    for (int64_t i = 0; i < dx.numel(); ++i) dx.data<T>()[i] = static_cast<T>(sum[static_cast<size_t>(i)]);
  });
}

}  // namespace atrous::kernels::pad_impl
