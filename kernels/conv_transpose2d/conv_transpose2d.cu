// Transposed convolution whose patches tile y: kernel == stride, no padding. Input pixel (n,h,w) alone makes
// the R x S patch of y below it (U-Net's 2x2 stride 2):
//
//   y[n, h*R + r, w*S + s, c] = bias[c] + sum_k x[n,h,w,k] * f[k,r,s,c]
//
// With pixels m = (n,h,w) and columns j = (r,s,c), all passes are dense products of matrices:
//
//   forward           patches(y)[m,j] = sum_k x[m,k] * f[k,j]
//   input gradient    dx[m,k]         = sum_j patches(dy)[m,j] * f[k,j]
//   filter gradient   df[k,j]         = sum_m x[m,k] * patches(dy)[m,j]
//
// Layout: pixels at any stride, f [K,R,S,C]. patches() is never stored: its elements are read and written
// where they lie in y, so the interleaving costs nothing and y may be a slice of a concatenation.
//
// Rungs: "conv2d" (conv_transpose2d.cpp) runs the passes of the convolution that this one transposes, any
// kernel and stride. "patches", below: one product instead of R*S phases, so that each value of x is read
// once for all of them. Sums in f32 on CUDA cores (kernels/gemm/matrix_product.cuh).
#include "kernels/conv_transpose2d/conv_transpose2d_impl.h"
#include "kernels/gemm/matrix_product.cuh"
#include "kernels/gpu/gpu.h"

namespace atrous::kernels::ATROUS_GPU {
namespace {

// Where element (m, j) of patches(y) lies in y.
struct Patches {
  int width;    // of x
  int r, s, c;  // of a patch
  __device__ int64_t pixel(int m, int j) const {
    const int line = m / width, tap = j / c;  // every line of x, n*H + h, makes R lines of y
    return (int64_t{line} * r + tap / s) * width * s + (m - line * width) * s + tap % s;
  }
  __device__ int channel(int j) const { return j % c; }
};

template <class T, int Width>
struct PatchFactor {
  Pixels<const T> y;
  Patches patches;
  int rows, columns;
  __device__ Vec<float, Width> operator()(int m, int j) const {
    if (m >= rows || j >= columns) return {};
    return load_f32<Width>(y.at(patches.pixel(m, j)) + patches.channel(j));
  }
};

template <class T, int Width>
struct PatchReceiver {
  Pixels<T> y;
  Patches patches;
  const float* bias;  // may be null
  __device__ void operator()(int m, int j, Vec<float, Width> values) const {
    const int channel = patches.channel(j);
    for (int e = 0; bias && e < Width; ++e) values[e] += bias[channel + e];
    store_f32<Width>(y.at(patches.pixel(m, j)) + channel, values);
  }
};

// f[k, (r,s,c)], whose pixels may have a stride.
template <class T, int Width>
struct FilterFactor {
  Pixels<const T> filter;
  int taps, channels, rows, columns;
  __device__ Vec<float, Width> operator()(int k, int j) const {
    if (k >= rows || j >= columns) return {};
    return load_f32<Width>(filter.at(int64_t{k} * taps + j / channels) + j % channels);
  }
};

// Pixels of x, columns of a patch, channels of x.
struct Extents {
  int m, j, k;
  explicit Extents(const Conv2dProblem& p)
      : m(narrow<int>(p.n * p.p() * p.q(), "conv_transpose2d")),
        j(narrow<int>(p.r * p.s * p.c, "conv_transpose2d")),
        k(narrow<int>(p.k, "conv_transpose2d")) {}
};

Patches patches_of(const Conv2dProblem& p) {
  return {static_cast<int>(p.q()), static_cast<int>(p.r), static_cast<int>(p.s), static_cast<int>(p.c)};
}

template <class T, int Width>
MatrixFactor<T, Width> pixels_factor(const Extents& e, const Tensor& x) {
  return {x.device_data<T>(), x.pixel_stride(), e.m, e.k};
}
template <class T, int Width>
PatchFactor<T, Width> patch_factor(const Conv2dProblem& p, const Extents& e, const Tensor& dy) {
  return {pixels_of<const T>(dy), patches_of(p), e.m, e.j};
}
template <class T, int Width>
FilterFactor<T, Width> filter_factor(const Conv2dProblem& p, const Extents& e, const Tensor& w) {
  return {pixels_of<const T>(w), static_cast<int>(p.r * p.s), static_cast<int>(p.c), e.k, e.j};
}

// run(T{}, std::integral_constant<int, Width>{}): four neighbours at once where all tensors allow it.
template <class F>
void visit(const Conv2dProblem& p, std::initializer_list<Tensor> tensors, F&& run) {
  const bool wide =
      std::all_of(tensors.begin(), tensors.end(), [](const Tensor& t) { return vectorises(t, 4); });
  visit_activation(p.dtype, [&](auto type) {
    wide ? run(type, std::integral_constant<int, 4>{}) : run(type, std::integral_constant<int, 1>{});
  });
}

}  // namespace

void conv_transpose2d_forward_patches(const ConvTranspose2dProblem& problem, const Tensor& x, const Tensor& w,
                                      const Tensor& bias, const Tensor& y) {
  const Conv2dProblem& p = problem.conv;
  const Extents e(p);
  visit(p, {x, w, y}, [&](auto type, auto width) {
    using T = decltype(type);
    constexpr int Width = decltype(width)::value;
    const PatchReceiver<T, Width> out{pixels_of<T>(y), patches_of(p),
                                      bias.defined() ? bias.device_data<float>() : nullptr};
    matrix_product<false, true, Width>(pixels_factor<T, Width>(e, x), filter_factor<T, Width>(p, e, w), out,
                                       product_size(e.m, e.j, e.k), y.device());
  });
}

void conv_transpose2d_backward_input_patches(const ConvTranspose2dProblem& problem, const Tensor& dy,
                                             const Tensor& w, const Tensor& dx) {
  const Conv2dProblem& p = problem.conv;
  const Extents e(p);
  visit(p, {dy, w, dx}, [&](auto type, auto width) {
    using T = decltype(type);
    constexpr int Width = decltype(width)::value;
    const MatrixReceiver<T, Width> out{pixels_of<T>(dx), nullptr};
    matrix_product<false, false, Width>(patch_factor<T, Width>(p, e, dy), filter_factor<T, Width>(p, e, w),
                                        out, product_size(e.m, e.k, e.j), dx.device());
  });
}

void conv_transpose2d_backward_weight_patches(const ConvTranspose2dProblem& problem, const Tensor& dy,
                                              const Tensor& x, const Tensor& dw) {
  const Conv2dProblem& p = problem.conv;
  const Extents e(p);
  visit(p, {dy, x}, [&](auto type, auto width) {
    using T = decltype(type);
    constexpr int Width = decltype(width)::value;
    const MatrixReceiver<float, Width> out{{dw.device_data<float>(), e.j},
                                           nullptr};  // contiguous: [K, R*S*C]
    matrix_product<true, true, Width>(pixels_factor<T, Width>(e, x), patch_factor<T, Width>(p, e, dy), out,
                                      product_size(e.k, e.j, e.m), dw.device());
  });
}

}  // namespace atrous::kernels::ATROUS_GPU
