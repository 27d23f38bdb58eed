// The formula of conv2d.h, one thread per result:
//
//   y[n,p,q,k]  = sum_{r,s,c} x'[n, p*stride + r*dilation - pad, ...q..., c] * w[k,r,s,c]
//   dx[n,h,w,c] = sum_{r,s,k} dy[n, (h + pad - r*dilation) / stride, ...w..., k] * w[k,r,s,c]
//   dw[k,r,s,c] = sum_{n,p,q} dy[n,p,q,k] * x[n, p*stride + r*dilation - pad, ...q..., c]
//
// In the second line only those r and s take part whose division leaves no remainder.
//
// Layout: x N,H,W,C; w K,R,S,C/groups; y N,P,Q,K; channels dense, pixels at any stride. Neighbouring threads
// have neighbouring channels of the result, so that they write (and for gradients read) neighbouring memory.
//
// The ladder:
//   naive           here: every product reads both factors from memory
//   tiled           conv2d_tiled.cu: a block shares a tile of both factors, each is read once per 16 products
//   implicit_gemm   conv2d_implicit_gemm*.cu: a thread keeps 8x8 results in registers, each factor in shared
//                   memory is read once per 8 products; vector loads, copies overlapped with arithmetic;
//                   "_narrow": smaller tiles
//   mma_bf16,       conv2d_mma_*.cu: the products on tensor cores, of bf16 or, where it is allowed, of f32
//   mma_tf32        rounded to tf32
#include "kernels/conv2d/conv2d_gpu.h"
#include "kernels/conv2d/conv2d_impl.h"
#include "kernels/gpu/gpu.h"

namespace atrous::kernels::ATROUS_GPU {
namespace {

constexpr int threads = 256;

// The sizes that a kernel needs; see Conv2dProblem.
struct Geometry {
  int64_t h, w, c, k, r, s, p, q;
  int64_t stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w;
  int64_t cg, kg;  // channels of one group
  int64_t images;

  explicit Geometry(const Conv2dProblem& f)
      : h(f.h),
        w(f.w),
        c(f.c),
        k(f.k),
        r(f.r),
        s(f.s),
        p(f.p()),
        q(f.q()),
        stride_h(f.stride_h),
        stride_w(f.stride_w),
        pad_h(f.pad_h),
        pad_w(f.pad_w),
        dilation_h(f.dilation_h),
        dilation_w(f.dilation_w),
        cg(f.c / f.groups),
        kg(f.k / f.groups),
        images(f.n) {}
};

__device__ int64_t global_thread() {
  return static_cast<int64_t>(blockIdx.x) * threads + threadIdx.x;
}

// z[n,p,q,k] without bias; `pixel` counts (n,p,q).
template <class T>
__device__ float forward_sum(const Geometry& g, Pixels<const T> x, Pixels<const T> w,
                             const Prologue& prologue, int64_t pixel, int64_t k) {
  const int64_t n = pixel / (g.p * g.q), p = pixel / g.q % g.p, q = pixel % g.q;
  const int64_t first = k / g.kg * g.cg;  // channel of the group
  float sum = 0;
  for (int64_t r = 0; r < g.r; ++r) {
    const int64_t row = p * g.stride_h + r * g.dilation_h - g.pad_h;
    if (row < 0 || row >= g.h) continue;
    for (int64_t s = 0; s < g.s; ++s) {
      const int64_t column = q * g.stride_w + s * g.dilation_w - g.pad_w;
      if (column < 0 || column >= g.w) continue;
      const T* from = x.at((n * g.h + row) * g.w + column) + first;
      const T* filter = w.at((k * g.r + r) * g.s + s);
      for (int64_t c = 0; c < g.cg; ++c) {
        sum += prologue(static_cast<float>(from[c]), first + c) * static_cast<float>(filter[c]);
      }
    }
  }
  return sum;
}

template <class T>
__global__ void __launch_bounds__(threads)
    conv2d_naive(Geometry g, Pixels<const T> x, Pixels<const T> w, Prologue prologue, const float* bias,
                 Pixels<const T> residual, bool relu, Pixels<T> y) {
  const int64_t i = global_thread(), pixel = i / g.k, k = i % g.k;
  if (pixel >= g.images * g.p * g.q) return;
  float value = forward_sum(g, x, w, prologue, pixel, k) + (bias ? bias[k] : 0.0f);
  if (residual) value += static_cast<float>(residual.at(pixel)[k]);
  y.at(pixel)[k] = static_cast<T>(relu ? activate<Activation::relu>(value) : value);
}

// Statistics of z, one block per channel. z itself is not in memory once the residual is added or ReLU
// applied: it is computed again.
template <class T>
__global__ void __launch_bounds__(threads)
    conv2d_sums_naive(Geometry g, Pixels<const T> x, Pixels<const T> w, Prologue prologue, const float* bias,
                      double* sums) {
  const int64_t k = blockIdx.x;
  double sum = 0, squares = 0;
  for (int64_t pixel = threadIdx.x; pixel < g.images * g.p * g.q; pixel += threads) {
    const double z = forward_sum(g, x, w, prologue, pixel, k) + (bias ? bias[k] : 0.0f);
    sum += z;
    squares += z * z;
  }
  sum = block_reduce<Plus>(sum, 0.0);
  squares = block_reduce<Plus>(squares, 0.0);
  if (threadIdx.x == 0) {
    sums[k] = sum;
    sums[g.k + k] = squares;
  }
}

// The output position that used input position `in` through a tap, or -1.
__device__ int64_t user_of(int64_t in, int64_t tap, int64_t stride, int64_t pad, int64_t dilation,
                           int64_t out) {
  const int64_t from = in + pad - tap * dilation;
  return from >= 0 && from % stride == 0 && from / stride < out ? from / stride : -1;
}

template <class T>
__global__ void __launch_bounds__(threads)
    conv2d_backward_input_naive(Geometry g, Pixels<const T> dy, Pixels<const T> w, const float* bias,
                                Pixels<T> dx) {
  const int64_t i = global_thread(), pixel = i / g.c, c = i % g.c;
  if (pixel >= g.images * g.h * g.w) return;
  const int64_t n = pixel / (g.h * g.w), row = pixel / g.w % g.h, column = pixel % g.w;
  const int64_t first = c / g.cg * g.kg, channel = c % g.cg;
  float sum = 0;
  for (int64_t r = 0; r < g.r; ++r) {
    const int64_t p = user_of(row, r, g.stride_h, g.pad_h, g.dilation_h, g.p);
    if (p < 0) continue;
    for (int64_t s = 0; s < g.s; ++s) {
      const int64_t q = user_of(column, s, g.stride_w, g.pad_w, g.dilation_w, g.q);
      if (q < 0) continue;
      const T* from = dy.at((n * g.p + p) * g.q + q);
      for (int64_t k = first; k < first + g.kg; ++k) {
        sum += static_cast<float>(from[k]) * static_cast<float>(w.at((k * g.r + r) * g.s + s)[channel]);
      }
    }
  }
  dx.at(pixel)[c] = static_cast<T>(sum + (bias ? bias[c] : 0.0f));
}

template <class T>
__global__ void __launch_bounds__(threads)
    conv2d_backward_weight_naive(Geometry g, Pixels<const T> dy, Pixels<const T> x, float* dw) {
  const int64_t i = global_thread();
  if (i >= g.k * g.r * g.s * g.cg) return;
  const int64_t k = i / (g.r * g.s * g.cg), r = i / (g.s * g.cg) % g.r, s = i / g.cg % g.s;
  const int64_t channel = k / g.kg * g.cg + i % g.cg;
  float sum = 0;
  for (int64_t n = 0; n < g.images; ++n) {
    for (int64_t p = 0; p < g.p; ++p) {
      const int64_t row = p * g.stride_h + r * g.dilation_h - g.pad_h;
      if (row < 0 || row >= g.h) continue;
      for (int64_t q = 0; q < g.q; ++q) {
        const int64_t column = q * g.stride_w + s * g.dilation_w - g.pad_w;
        if (column < 0 || column >= g.w) continue;
        sum += static_cast<float>(dy.at((n * g.p + p) * g.q + q)[k]) *
               static_cast<float>(x.at((n * g.h + row) * g.w + column)[channel]);
      }
    }
  }
  dw[i] = sum;
}

}  // namespace

void conv2d_forward_naive(const Conv2dProblem& p, const Tensor& x, const Tensor& w, const Conv2dFusion& f,
                          const Tensor& y) {
  visit_activation(p.dtype, [&](auto zero) {
    using T = decltype(zero);
    const Geometry g(p);
    const Prologue prologue = prologue_of(f);
    const auto from = pixels_of<const T>(x), filter = pixels_of<const T>(w);
    launch<conv2d_naive<T>>({blocks_for(y.numel(), threads), threads}, g, from, filter, prologue,
                            optional_data(f.bias), pixels_of<const T>(f.residual), f.relu, pixels_of<T>(y));
    if (f.channel_sums.defined()) {
      launch<conv2d_sums_naive<T>>({p.k, threads}, g, from, filter, prologue, optional_data(f.bias),
                                   f.channel_sums.device_data<double>());
    }
  });
}

void conv2d_backward_input_naive(const Conv2dProblem& p, const Tensor& dy, const Tensor& w,
                                 const Tensor& bias, const Tensor& dx) {
  visit_activation(p.dtype, [&](auto zero) {
    using T = decltype(zero);
    launch<conv2d_backward_input_naive<T>>({blocks_for(dx.numel(), threads), threads}, Geometry(p),
                                           pixels_of<const T>(dy), pixels_of<const T>(w), optional_data(bias),
                                           pixels_of<T>(dx));
  });
}

void conv2d_backward_weight_naive(const Conv2dProblem& p, const Tensor& dy, const Tensor& x,
                                  const Tensor& dw) {
  visit_activation(p.dtype, [&](auto zero) {
    using T = decltype(zero);
    launch<conv2d_backward_weight_naive<T>>({blocks_for(dw.numel(), threads), threads}, Geometry(p),
                                            pixels_of<const T>(dy), pixels_of<const T>(x),
                                            dw.device_data<float>());
  });
}

}  // namespace atrous::kernels::ATROUS_GPU
