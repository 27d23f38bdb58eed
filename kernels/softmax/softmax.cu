// Softmax and log-softmax over the channels of each pixel.
//
//   softmax      y_k = exp(x_k - max x) / sum_j exp(x_j - max x)     dx_k = y_k (dy_k - sum_j y_j dy_j)
//   log-softmax  y_k = x_k - max x - log sum_j exp(x_j - max x)      dx_k = dy_k - exp(y_k) sum_j dy_j
//
// Memory: x and dy are pixel-strided, y may be in backward; results are dense.
//
//   naive      thread per pixel, reads its channels from memory three times (twice in backward)
//   warp       warp per pixel, lanes share the channels: neighbouring lanes read neighbouring channels
//   registers  thread per pixel of up to 32 channels, read once into registers
//   staged     thread per pixel, whose channels come and go through shared memory in the order of memory
#include "kernels/softmax/pixel_rows.cuh"
#include "kernels/softmax/softmax_impl.h"

namespace atrous::kernels::softmax_impl::ATROUS_GPU {
namespace {

using namespace kernels::ATROUS_GPU;

constexpr int threads = 128;
static_assert(threads == rows_per_block);
// 48 KB of shared memory need no permission and leave room for several blocks.
static_assert(bytes_of_rows(most_staged) <= (48 << 10) &&
              2 * bytes_of_rows(most_staged_backward) <= (48 << 10));
constexpr int pixels_per_warp_block = threads / 32;

__device__ inline int64_t own_pixel() {
  return static_cast<int64_t>(blockIdx.x) * threads + threadIdx.x;
}

// The values shared by the channels of a pixel, and its results from them: once per pixel a logarithm or a
// division, not once per channel.
struct Denominator {
  float max, rest;  // log(sum), or 1 / sum
  __device__ Denominator(float max_, float sum, bool log) : max(max_), rest(log ? std::log(sum) : 1 / sum) {}
  __device__ float value(float x, bool log) const {
    // Subtracted in two steps: max may be large and log(sum) small.
    return log ? (x - max) - rest : std::exp(x - max) * rest;
  }
};
__device__ inline float gradient(float y, float dy, float sum, bool log) {
  return log ? dy - std::exp(y) * sum : y * (dy - sum);
}

// ---- naive ----

template <class T>
__global__ void __launch_bounds__(threads)
    forward_naive_kernel(Pixels<T> x, T* y, int64_t pixels, int64_t channels, bool log) {
  const int64_t pixel = own_pixel();
  if (pixel >= pixels) return;
  const T* in = x.at(pixel);
  float max = static_cast<float>(in[0]), sum = 0;
  for (int64_t k = 1; k < channels; ++k) max = Maximum{}(max, static_cast<float>(in[k]));
  for (int64_t k = 0; k < channels; ++k) sum += std::exp(static_cast<float>(in[k]) - max);
  const Denominator d(max, sum, log);
  for (int64_t k = 0; k < channels; ++k)
    y[pixel * channels + k] = static_cast<T>(d.value(static_cast<float>(in[k]), log));
}

template <class T>
__global__ void __launch_bounds__(threads)
    backward_naive_kernel(Pixels<T> y, Pixels<T> dy, T* dx, int64_t pixels, int64_t channels, bool log) {
  const int64_t pixel = own_pixel();
  if (pixel >= pixels) return;
  const T *v = y.at(pixel), *g = dy.at(pixel);
  float sum = 0;
  for (int64_t k = 0; k < channels; ++k)
    sum += log ? static_cast<float>(g[k]) : static_cast<float>(g[k]) * static_cast<float>(v[k]);
  for (int64_t k = 0; k < channels; ++k)
    dx[pixel * channels + k] =
        static_cast<T>(gradient(static_cast<float>(v[k]), static_cast<float>(g[k]), sum, log));
}

// ---- warp ----

template <class T>
__global__ void __launch_bounds__(threads)
    forward_warp_kernel(Pixels<T> x, T* y, int64_t pixels, int64_t channels, bool log) {
  const int64_t pixel = static_cast<int64_t>(blockIdx.x) * pixels_per_warp_block + threadIdx.x / 32;
  if (pixel >= pixels) return;  // the whole warp
  const int lane = static_cast<int>(threadIdx.x % 32);
  const T* in = x.at(pixel);
  float max = static_cast<float>(in[0]), sum = 0;
  for (int64_t k = lane; k < channels; k += 32) max = Maximum{}(max, static_cast<float>(in[k]));
  max = warp_reduce<Maximum>(max);
  for (int64_t k = lane; k < channels; k += 32) sum += std::exp(static_cast<float>(in[k]) - max);
  sum = warp_reduce<Plus>(sum);
  const Denominator d(max, sum, log);
  for (int64_t k = lane; k < channels; k += 32)
    y[pixel * channels + k] = static_cast<T>(d.value(static_cast<float>(in[k]), log));
}

template <class T>
__global__ void __launch_bounds__(threads)
    backward_warp_kernel(Pixels<T> y, Pixels<T> dy, T* dx, int64_t pixels, int64_t channels, bool log) {
  const int64_t pixel = static_cast<int64_t>(blockIdx.x) * pixels_per_warp_block + threadIdx.x / 32;
  if (pixel >= pixels) return;
  const int lane = static_cast<int>(threadIdx.x % 32);
  const T *v = y.at(pixel), *g = dy.at(pixel);
  float sum = 0;
  for (int64_t k = lane; k < channels; k += 32)
    sum += log ? static_cast<float>(g[k]) : static_cast<float>(g[k]) * static_cast<float>(v[k]);
  sum = warp_reduce<Plus>(sum);
  for (int64_t k = lane; k < channels; k += 32)
    dx[pixel * channels + k] =
        static_cast<T>(gradient(static_cast<float>(v[k]), static_cast<float>(g[k]), sum, log));
}

// ---- registers: Most is a compile-time bound of the channels, so that the loops unroll ----

template <class T, int Most>
__global__ void __launch_bounds__(threads)
    forward_registers_kernel(Pixels<T> x, T* y, int64_t pixels, int channels, bool log) {
  const int64_t pixel = own_pixel();
  if (pixel >= pixels) return;
  const T* in = x.at(pixel);
  float v[Most];
  ATROUS_UNROLL
  for (int k = 0; k < Most; ++k) v[k] = k < channels ? static_cast<float>(in[k]) : -INFINITY;
  float max = v[0], sum = 0;
  ATROUS_UNROLL
  for (int k = 1; k < Most; ++k) max = Maximum{}(max, v[k]);
  ATROUS_UNROLL
  for (int k = 0; k < Most; ++k) sum += k < channels ? std::exp(v[k] - max) : 0.0f;
  const Denominator d(max, sum, log);
  ATROUS_UNROLL
  for (int k = 0; k < Most; ++k) {
    if (k < channels) y[pixel * channels + k] = static_cast<T>(d.value(v[k], log));
  }
}

template <class T, int Most>
__global__ void __launch_bounds__(threads)
    backward_registers_kernel(Pixels<T> y, Pixels<T> dy, T* dx, int64_t pixels, int channels, bool log) {
  const int64_t pixel = own_pixel();
  if (pixel >= pixels) return;
  const T *in = y.at(pixel), *in_gradient = dy.at(pixel);
  float v[Most], g[Most], sum = 0;
  ATROUS_UNROLL
  for (int k = 0; k < Most; ++k) {
    v[k] = k < channels ? static_cast<float>(in[k]) : 0.0f;
    g[k] = k < channels ? static_cast<float>(in_gradient[k]) : 0.0f;
    sum += log ? g[k] : g[k] * v[k];
  }
  ATROUS_UNROLL
  for (int k = 0; k < Most; ++k) {
    if (k < channels) dx[pixel * channels + k] = static_cast<T>(gradient(v[k], g[k], sum, log));
  }
}

// ---- staged ----

template <class T>
__global__ void __launch_bounds__(threads)
    forward_staged_kernel(Pixels<const T> x, bool dense, T* y, int64_t pixels, int channels, bool log) {
  ATROUS_DYNAMIC_SHARED(shared);
  auto* rows = reinterpret_cast<float*>(shared);
  const int64_t first = static_cast<int64_t>(blockIdx.x) * threads;
  const int count = static_cast<int>(min(static_cast<int64_t>(threads), pixels - first));
  load_rows<T>(rows, x, dense, first, count, channels);
  __syncthreads();
  if (static_cast<int>(threadIdx.x) < count) {
    float* v = rows + static_cast<int>(threadIdx.x) * row_pitch(channels);
    float max = v[0], sum = 0;
    for (int k = 1; k < channels; ++k) max = Maximum{}(max, v[k]);
    for (int k = 0; k < channels; ++k) sum += std::exp(v[k] - max);
    const Denominator d(max, sum, log);
    for (int k = 0; k < channels; ++k) v[k] = d.value(v[k], log);
  }
  __syncthreads();
  store_rows(y, rows, first, count, channels);
}

template <class T>
__global__ void __launch_bounds__(threads)
    backward_staged_kernel(Pixels<const T> y, bool dense_y, Pixels<const T> dy, bool dense_dy, T* dx,
                           int64_t pixels, int channels, bool log) {
  ATROUS_DYNAMIC_SHARED(shared);
  auto* rows = reinterpret_cast<float*>(shared);
  float* gradient_rows = rows + threads * row_pitch(channels);
  const int64_t first = static_cast<int64_t>(blockIdx.x) * threads;
  const int count = static_cast<int>(min(static_cast<int64_t>(threads), pixels - first));
  load_rows<T>(rows, y, dense_y, first, count, channels);
  load_rows<T>(gradient_rows, dy, dense_dy, first, count, channels);
  __syncthreads();
  if (static_cast<int>(threadIdx.x) < count) {
    const float* v = rows + static_cast<int>(threadIdx.x) * row_pitch(channels);
    float* g = gradient_rows + static_cast<int>(threadIdx.x) * row_pitch(channels);
    float sum = 0;
    for (int k = 0; k < channels; ++k) sum += log ? g[k] : g[k] * v[k];
    for (int k = 0; k < channels; ++k) g[k] = gradient(v[k], g[k], sum, log);
  }
  __syncthreads();
  store_rows(dx, gradient_rows, first, count, channels);
}

// f of the smallest bound that holds the channels.
template <class F>
void visit_most(int64_t channels, F&& f) {
  if (channels <= 4) return f(std::integral_constant<int, 4>{});
  if (channels <= 8) return f(std::integral_constant<int, 8>{});
  if (channels <= 16) return f(std::integral_constant<int, 16>{});
  if (channels <= 24) return f(std::integral_constant<int, 24>{});
  f(std::integral_constant<int, 32>{});
}

}  // namespace

void forward_naive(const SoftmaxProblem& p, const Tensor& x, const Tensor& y) {
  visit_activation(p.dtype, [&]<class T>(T) {
    launch<forward_naive_kernel<T>>({blocks_for(p.pixels, threads), threads}, pixels_of<T>(x),
                                    y.device_data<T>(), p.pixels, p.channels, p.log);
  });
}
void backward_naive(const SoftmaxProblem& p, const Tensor& y, const Tensor& dy, const Tensor& dx) {
  visit_activation(p.dtype, [&]<class T>(T) {
    launch<backward_naive_kernel<T>>({blocks_for(p.pixels, threads), threads}, pixels_of<T>(y),
                                     pixels_of<T>(dy), dx.device_data<T>(), p.pixels, p.channels, p.log);
  });
}

void forward_warp(const SoftmaxProblem& p, const Tensor& x, const Tensor& y) {
  visit_activation(p.dtype, [&]<class T>(T) {
    launch<forward_warp_kernel<T>>({blocks_for(p.pixels, pixels_per_warp_block), threads}, pixels_of<T>(x),
                                   y.device_data<T>(), p.pixels, p.channels, p.log);
  });
}
void backward_warp(const SoftmaxProblem& p, const Tensor& y, const Tensor& dy, const Tensor& dx) {
  visit_activation(p.dtype, [&]<class T>(T) {
    launch<backward_warp_kernel<T>>({blocks_for(p.pixels, pixels_per_warp_block), threads}, pixels_of<T>(y),
                                    pixels_of<T>(dy), dx.device_data<T>(), p.pixels, p.channels, p.log);
  });
}

void forward_registers(const SoftmaxProblem& p, const Tensor& x, const Tensor& y) {
  visit_activation(p.dtype, [&]<class T>(T) {
    visit_most(p.channels, [&]<int most>(std::integral_constant<int, most>) {
      launch<forward_registers_kernel<T, most>>({blocks_for(p.pixels, threads), threads}, pixels_of<T>(x),
                                                y.device_data<T>(), p.pixels, static_cast<int>(p.channels),
                                                p.log);
    });
  });
}
void backward_registers(const SoftmaxProblem& p, const Tensor& y, const Tensor& dy, const Tensor& dx) {
  visit_activation(p.dtype, [&]<class T>(T) {
    visit_most(p.channels, [&]<int most>(std::integral_constant<int, most>) {
      launch<backward_registers_kernel<T, most>>({blocks_for(p.pixels, threads), threads}, pixels_of<T>(y),
                                                 pixels_of<T>(dy), dx.device_data<T>(), p.pixels,
                                                 static_cast<int>(p.channels), p.log);
    });
  });
}

void forward_staged(const SoftmaxProblem& p, const Tensor& x, const Tensor& y) {
  visit_activation(p.dtype, [&]<class T>(T) {
    launch<forward_staged_kernel<T>>({blocks_for(p.pixels, threads), threads, bytes_of_rows(p.channels)},
                                     pixels_of<const T>(x), rows_are_dense(x), y.device_data<T>(), p.pixels,
                                     static_cast<int>(p.channels), p.log);
  });
}
void backward_staged(const SoftmaxProblem& p, const Tensor& y, const Tensor& dy, const Tensor& dx) {
  visit_activation(p.dtype, [&]<class T>(T) {
    launch<backward_staged_kernel<T>>({blocks_for(p.pixels, threads), threads, 2 * bytes_of_rows(p.channels)},
                                      pixels_of<const T>(y), rows_are_dense(y), pixels_of<const T>(dy),
                                      rows_are_dense(dy), dx.device_data<T>(), p.pixels,
                                      static_cast<int>(p.channels), p.log);
  });
}

}  // namespace atrous::kernels::softmax_impl::ATROUS_GPU
