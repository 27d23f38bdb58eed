// The reference of conv2d: plain loops over the formula, double accumulation.
//
// The channel loop is innermost and dense, and rows run in parallel: gradient checks in f64 depend on the
// speed of this file.
#include <vector>

#include "core/parallel.h"
#include "kernels/conv2d/conv2d_impl.h"

namespace atrous::kernels {
namespace {

template <class T>
const T* pixel(const Tensor& t, int64_t n, int64_t row, int64_t column) {
  return t.data<T>() + ((n * t.dim(1) + row) * t.dim(2) + column) * t.pixel_stride();
}

template <class T>
double element(const Tensor& vector, int64_t i) {
  return static_cast<double>(vector.data<T>()[i]);
}

ATROUS_MULTIVERSION void add_scaled(double* sum, const double* v, double factor, int64_t count) {
  for (int64_t i = 0; i < count; ++i) sum[i] += factor * v[i];
}

// The filter as doubles in the order [r][s][c][k]: for one input value, the factors of all outputs are
// neighbours.
template <class T>
std::vector<double> filter_rsck(const Conv2dProblem& p, const Tensor& w) {
  const int64_t cg = p.c / p.groups;
  std::vector<double> result(static_cast<size_t>(p.r * p.s * cg * p.k));
  for (int64_t k = 0; k < p.k; ++k) {
    for (int64_t rs = 0; rs < p.r * p.s; ++rs) {
      const T* from = w.data<T>() + (k * p.r * p.s + rs) * w.pixel_stride();
      for (int64_t c = 0; c < cg; ++c) {
        result[static_cast<size_t>((rs * cg + c) * p.k + k)] = static_cast<double>(from[c]);
      }
    }
  }
  return result;
}

// The filter as doubles, contiguous [k][r][s][c].
template <class T>
std::vector<double> filter_krsc(const Conv2dProblem& p, const Tensor& w) {
  const int64_t cg = p.c / p.groups;
  std::vector<double> result;
  for (int64_t pixel_index = 0; pixel_index < p.k * p.r * p.s; ++pixel_index) {
    const T* from = w.data<T>() + pixel_index * w.pixel_stride();
    result.insert(result.end(), from, from + cg);
  }
  return result;
}

// z[k] at one output position: conv(x', w) + bias.
template <class T>
void forward_pixel(const Conv2dProblem& p, const Tensor& x, const std::vector<double>& w,
                   const Conv2dFusion& f, int64_t n, int64_t row, int64_t column, std::vector<double>& z) {
  const int64_t cg = p.c / p.groups, kg = p.k / p.groups;
  for (int64_t k = 0; k < p.k; ++k)
    z[static_cast<size_t>(k)] = f.bias.defined() ? element<T>(f.bias, k) : 0.0;
  for (int64_t r = 0; r < p.r; ++r) {
    const int64_t h = row * p.stride_h + r * p.dilation_h - p.pad_h;
    if (h < 0 || h >= p.h) continue;
    for (int64_t s = 0; s < p.s; ++s) {
      const int64_t col = column * p.stride_w + s * p.dilation_w - p.pad_w;
      if (col < 0 || col >= p.w) continue;
      const T* from = pixel<T>(x, n, h, col);
      for (int64_t c = 0; c < p.c; ++c) {
        double value = static_cast<double>(from[c]);
        if (f.in_scale.defined()) value = element<T>(f.in_scale, c) * value + element<T>(f.in_bias, c);
        if (f.in_relu && value < 0) value = 0;
        const int64_t g = c / cg;
        add_scaled(&z[static_cast<size_t>(g * kg)],
                   &w[static_cast<size_t>(((r * p.s + s) * cg + c - g * cg) * p.k + g * kg)], value, kg);
      }
    }
  }
}

template <class T>
void forward(const Conv2dProblem& p, const Tensor& x, const Tensor& w, const Conv2dFusion& f,
             const Tensor& y) {
  const int64_t rows = p.p(), columns = p.q();
  const std::vector<double> filter = filter_rsck<T>(p, w);
  // One pair of partial sums per output row, added in row order at the end.
  std::vector<double> partial(f.channel_sums.defined() ? static_cast<size_t>(p.n * rows * 2 * p.k) : 0);
  parallel_for(p.n * rows, 1, [&](int64_t begin, int64_t end) {
    std::vector<double> z(static_cast<size_t>(p.k));
    for (int64_t i = begin; i < end; ++i) {
      for (int64_t q = 0; q < columns; ++q) {
        forward_pixel<T>(p, x, filter, f, i / rows, i % rows, q, z);
        T* to = const_cast<T*>(pixel<T>(y, i / rows, i % rows, q));
        for (int64_t k = 0; k < p.k; ++k) {
          double value = z[static_cast<size_t>(k)];
          if (!partial.empty()) {
            // Statistics of the values that a later pass would read: stored and rounded.
            const double stored = static_cast<double>(static_cast<T>(value));
            partial[static_cast<size_t>(i * 2 * p.k + k)] += stored;
            partial[static_cast<size_t>((i * 2 + 1) * p.k + k)] += stored * stored;
          }
          if (f.residual.defined())
            value += static_cast<double>(pixel<T>(f.residual, i / rows, i % rows, q)[k]);
          to[k] = static_cast<T>(f.relu && value < 0 ? 0.0 : value);
        }
      }
    }
  });
  if (!f.channel_sums.defined()) return;
  for (int64_t which = 0; which < 2; ++which) {
    double* sums = f.channel_sums.data<double>() + which * f.channel_sums.pixel_stride();
    for (int64_t k = 0; k < p.k; ++k) {
      sums[k] = 0;
      for (int64_t i = 0; i < p.n * rows; ++i)
        sums[k] += partial[static_cast<size_t>((i * 2 + which) * p.k + k)];
    }
  }
}

// Gathers: every input position collects the outputs that used it.
template <class T>
void backward_input(const Conv2dProblem& p, const Tensor& dy, const Tensor& w, const Tensor& bias,
                    const Tensor& dx) {
  const int64_t rows = p.p(), columns = p.q(), cg = p.c / p.groups, kg = p.k / p.groups;
  const std::vector<double> filter = filter_krsc<T>(p, w);
  parallel_for(p.n * p.h, 1, [&](int64_t begin, int64_t end) {
    std::vector<double> sum(static_cast<size_t>(p.c));
    for (int64_t i = begin; i < end; ++i) {
      for (int64_t col = 0; col < p.w; ++col) {
        for (int64_t c = 0; c < p.c; ++c)
          sum[static_cast<size_t>(c)] = bias.defined() ? element<T>(bias, c) : 0.0;
        for (int64_t r = 0; r < p.r; ++r) {
          const int64_t from_row = i % p.h + p.pad_h - r * p.dilation_h;
          if (from_row < 0 || from_row % p.stride_h || from_row / p.stride_h >= rows) continue;
          for (int64_t s = 0; s < p.s; ++s) {
            const int64_t from_col = col + p.pad_w - s * p.dilation_w;
            if (from_col < 0 || from_col % p.stride_w || from_col / p.stride_w >= columns) continue;
            const T* from = pixel<T>(dy, i / p.h, from_row / p.stride_h, from_col / p.stride_w);
            for (int64_t k = 0; k < p.k; ++k) {
              add_scaled(&sum[static_cast<size_t>(k / kg * cg)],
                         &filter[static_cast<size_t>(((k * p.r + r) * p.s + s) * cg)],
                         static_cast<double>(from[k]), cg);
            }
          }
        }
        T* to = const_cast<T*>(pixel<T>(dx, i / p.h, i % p.h, col));
        for (int64_t c = 0; c < p.c; ++c) to[c] = static_cast<T>(sum[static_cast<size_t>(c)]);
      }
    }
  });
}

template <class T>
void backward_weight(const Conv2dProblem& p, const Tensor& dy, const Tensor& x, const Tensor& dw) {
  const int64_t rows = p.p(), columns = p.q(), cg = p.c / p.groups, kg = p.k / p.groups;
  parallel_for(p.k, 1, [&](int64_t begin, int64_t end) {
    std::vector<double> sum(static_cast<size_t>(cg)), values(static_cast<size_t>(cg));
    for (int64_t k = begin; k < end; ++k) {
      for (int64_t rs = 0; rs < p.r * p.s; ++rs) {
        std::fill(sum.begin(), sum.end(), 0.0);
        for (int64_t i = 0; i < p.n * rows; ++i) {
          const int64_t h = i % rows * p.stride_h + rs / p.s * p.dilation_h - p.pad_h;
          if (h < 0 || h >= p.h) continue;
          for (int64_t q = 0; q < columns; ++q) {
            const int64_t col = q * p.stride_w + rs % p.s * p.dilation_w - p.pad_w;
            if (col < 0 || col >= p.w) continue;
            const T* from = pixel<T>(x, i / rows, h, col) + k / kg * cg;
            for (int64_t c = 0; c < cg; ++c) values[static_cast<size_t>(c)] = static_cast<double>(from[c]);
            add_scaled(sum.data(), values.data(), static_cast<double>(pixel<T>(dy, i / rows, i % rows, q)[k]),
                       cg);
          }
        }
        T* to = dw.data<T>() + (k * p.r * p.s + rs) * cg;
        for (int64_t c = 0; c < cg; ++c) to[c] = static_cast<T>(sum[static_cast<size_t>(c)]);
      }
    }
  });
}

}  // namespace

void conv2d_forward_ref(const Conv2dProblem& p, const Tensor& x, const Tensor& w, const Conv2dFusion& f,
                        const Tensor& y) {
  p.dtype == DType::f32 ? forward<float>(p, x, w, f, y) : forward<double>(p, x, w, f, y);
}

void conv2d_backward_input_ref(const Conv2dProblem& p, const Tensor& dy, const Tensor& w, const Tensor& bias,
                               const Tensor& dx) {
  p.dtype == DType::f32 ? backward_input<float>(p, dy, w, bias, dx)
                        : backward_input<double>(p, dy, w, bias, dx);
}

void conv2d_backward_weight_ref(const Conv2dProblem& p, const Tensor& dy, const Tensor& x, const Tensor& dw) {
  p.dtype == DType::f32 ? backward_weight<float>(p, dy, x, dw) : backward_weight<double>(p, dy, x, dw);
}

}  // namespace atrous::kernels
