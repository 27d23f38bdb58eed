#include "kernels/common/visit.h"
#include "kernels/resize/resize_impl.h"

namespace atrous::kernels::resize {

void forward_ref(const ResizeProblem& p, const Tensor& x, const Tensor& y) {
  visit_float(p.dtype, [&](auto tag) {
    using T = decltype(tag);
    for (int64_t n = 0; n < p.n; ++n) {
      for (int64_t i = 0; i < p.out_h; ++i) {
        const ResizeTap v = resize_tap(p.mode, p.align_corners, i, p.in_h, p.out_h);
        for (int64_t j = 0; j < p.out_w; ++j) {
          const ResizeTap u = resize_tap(p.mode, p.align_corners, j, p.in_w, p.out_w);
          auto at = [&](int64_t row, int64_t column) {
            return x.data<T>() + ((n * p.in_h + row) * p.in_w + column) * x.pixel_stride();
          };
          const T *a = at(v.low, u.low), *b = at(v.low, u.high), *c = at(v.high, u.low),
                  *d = at(v.high, u.high);
          T* out = y.data<T>() + ((n * p.out_h + i) * p.out_w + j) * y.pixel_stride();
          for (int64_t k = 0; k < p.channels; ++k) {
            if (p.mode == ResizeMode::nearest) {
              out[k] = a[k];
            } else {
              const double top =
                  (1 - u.weight) * static_cast<double>(a[k]) + u.weight * static_cast<double>(b[k]);
              const double bottom =
                  (1 - u.weight) * static_cast<double>(c[k]) + u.weight * static_cast<double>(d[k]);
              out[k] = static_cast<T>((1 - v.weight) * top + v.weight * bottom);
            }
          }
        }
      }
    }
  });
}

// Scatter, the transpose of the loop above taken literally; the sums are kept in double.
void backward_ref(const ResizeProblem& p, const Tensor& dy, const Tensor& dx) {
  visit_float(p.dtype, [&](auto tag) {
    using T = decltype(tag);
    std::vector<double> sum(static_cast<size_t>(dx.numel()), 0.0);
    for (int64_t n = 0; n < p.n; ++n) {
      for (int64_t i = 0; i < p.out_h; ++i) {
        const ResizeTap v = resize_tap(p.mode, p.align_corners, i, p.in_h, p.out_h);
        for (int64_t j = 0; j < p.out_w; ++j) {
          const ResizeTap u = resize_tap(p.mode, p.align_corners, j, p.in_w, p.out_w);
          const T* g = dy.data<T>() + ((n * p.out_h + i) * p.out_w + j) * dy.pixel_stride();
          auto add = [&](int64_t row, int64_t column, double weight) {
            double* s = sum.data() + ((n * p.in_h + row) * p.in_w + column) * p.channels;
            for (int64_t k = 0; k < p.channels; ++k) s[k] += weight * static_cast<double>(g[k]);
          };
          if (p.mode == ResizeMode::nearest) {
            add(v.low, u.low, 1);
            continue;
          }
          add(v.low, u.low, (1 - v.weight) * (1 - u.weight));
          add(v.low, u.high, (1 - v.weight) * u.weight);
          add(v.high, u.low, v.weight * (1 - u.weight));
          add(v.high, u.high, v.weight * u.weight);
        }
      }
    }
    for (int64_t i = 0; i < dx.numel(); ++i) dx.data<T>()[i] = static_cast<T>(sum[static_cast<size_t>(i)]);
  });
}

}  // namespace atrous::kernels::resize
