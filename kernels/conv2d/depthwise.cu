// Depthwise convolution: forward and input gradient.
//
//   y[n,p,q,k] = bias[k] + sum_{r,s} w[k,r,s]
//                * x[n, p*stride_h + r*dilation_h - pad_h, q*stride_w + s*dilation_w - pad_w, k/M]
//
// Memory: pixels of dense channels, so threads that are neighbours in c read and write neighbours. w is
// [K][R*S]. Every product belongs to one output only: speed comes from reading x once, not from arithmetic.
//
//   naive        a thread per output element, the formula
//   vectorised   a thread per 16 bytes of channels; the block's filters are in shared memory as f32
//                [tap][channel], so each tap costs one wide load of x
//   window       a thread walks along a row and keeps the R*S input pixels under the filter in registers:
//                per output only the columns that enter the window are loaded. For any stride and rate:
//                rate d splits into d interleaved rows of rate 1 (see Walk)
//
// The input gradient is the same walk over dy; at stride 1 the filter only has to be turned around.
#include "kernels/conv2d/conv2d_impl.h"
#include "kernels/conv2d/depthwise_window.cuh"
#include "kernels/gpu/gpu.h"

namespace atrous::kernels::ATROUS_GPU {
namespace {

constexpr int threads = 256;

// The filters [K,R,S,1]; one element per `stride`.
template <class T>
struct Filters {
  const T* data;
  int64_t stride;
  int width, taps;  // S, R*S
  __device__ float operator()(int64_t k, int tap) const {
    return static_cast<float>(data[(k * taps + tap) * stride]);
  }
};

template <class T>
Filters<T> filters_of(const Conv2dProblem& p, const Tensor& w) {
  return {w.device_data<T>(), w.pixel_stride(), static_cast<int>(p.s), static_cast<int>(p.r * p.s)};
}

const float* bias_of(const Tensor& bias) {
  return bias.defined() ? bias.device_data<float>() : nullptr;
}

// ---- naive

template <class T>
__global__ void __launch_bounds__(threads)
    depthwise_forward_naive_kernel(AxisPair<ForwardAxis> axes, Pixels<const T> x, Image from, Filters<T> w,
                                   const float* bias, Pixels<T> y, Image to, int64_t count) {
  const int64_t i = blockIdx.x * int64_t{threads} + threadIdx.x;
  if (i >= count) return;
  const int64_t pixel = i / to.channels, row = pixel / to.width;
  const int k = static_cast<int>(i % to.channels), c = k / (to.channels / from.channels);
  const int q = static_cast<int>(pixel % to.width), p = static_cast<int>(row % to.height);
  float sum = bias ? bias[k] : 0.f;
  for (int tap = 0; tap < w.taps; ++tap) {
    const int h = axes.h.at(p, tap / w.width), v = axes.w.at(q, tap % w.width);
    if (h >= 0 && v >= 0)
      sum += static_cast<float>(x.at((row / to.height * from.height + h) * from.width + v)[c]) * w(k, tap);
  }
  y.at(pixel)[k] = static_cast<T>(sum);
}

template <class T>
__global__ void __launch_bounds__(threads)
    depthwise_backward_input_naive_kernel(AxisPair<BackwardAxis> axes, Pixels<const T> dy, Image from,
                                          Filters<T> w, Pixels<T> dx, Image to, int64_t count) {
  const int64_t i = blockIdx.x * int64_t{threads} + threadIdx.x;
  if (i >= count) return;
  const int64_t pixel = i / to.channels, row = pixel / to.width;
  const int c = static_cast<int>(i % to.channels), multiplier = from.channels / to.channels;
  const int v = static_cast<int>(pixel % to.width), h = static_cast<int>(row % to.height);
  float sum = 0;
  for (int tap = 0; tap < w.taps; ++tap) {
    const int p = axes.h.at(h, tap / w.width), q = axes.w.at(v, tap % w.width);
    if (p < 0 || q < 0) continue;
    const T* from_pixel = dy.at((row / to.height * from.height + p) * from.width + q);
    for (int k = c * multiplier; k < (c + 1) * multiplier; ++k)
      sum += static_cast<float>(from_pixel[k]) * w(k, tap);
  }
  dx.at(pixel)[c] = static_cast<T>(sum);
}

// ---- vectorised

// One block: `lanes` groups of G channels times threads / lanes pixels at a time, `rounds` times.
struct Slab {
  int lanes, groups, rounds;  // groups: of all channels
};

Slab slab_of(int64_t channels, int group) {
  const int groups = static_cast<int>(channels / group);
  int lanes = 1;
  while (lanes < groups && lanes < 32) lanes *= 2;
  return {lanes, groups, 8};
}

template <class T, int G, class Axis>
__global__ void __launch_bounds__(threads, 3)
    depthwise_vectorised_kernel(AxisPair<Axis> axes, Pixels<const T> x, Image from, Filters<T> w,
                                const float* bias, Pixels<T> y, Image to, int pixels, Slab slab) {
  ATROUS_DYNAMIC_SHARED(memory);
  float* filters = reinterpret_cast<float*>(memory);  // [taps][slab.lanes * G]
  const int slab_channels = slab.lanes * G, first = static_cast<int>(blockIdx.y) * slab_channels;
  for (int i = static_cast<int>(threadIdx.x); i < w.taps * slab_channels; i += threads) {
    const int k = first + i % slab_channels;
    filters[i] = k < to.channels ? w(k, i / slab_channels) : 0.f;
  }
  __syncthreads();
  const int lane = static_cast<int>(threadIdx.x) % slab.lanes, c = first + lane * G;
  if (c >= to.channels) return;
  Vec<float, G> start{};
  if (bias) {
    for (int e = 0; e < G; ++e) start[e] = bias[c + e];
  }
  const int at_once = threads / slab.lanes;
  int pixel =
      static_cast<int>(blockIdx.x) * slab.rounds * at_once + static_cast<int>(threadIdx.x) / slab.lanes;
  for (int round = 0; round < slab.rounds && pixel < pixels; ++round, pixel += at_once) {
    const int row = pixel / to.width, q = pixel % to.width, p = row % to.height;
    const int64_t image = int64_t{row / to.height} * from.height;
    Vec<float, G> sum = start;
    for (int r = 0; r < w.taps / w.width; ++r) {
      const int h = axes.h.at(p, r);
      if (h < 0) continue;
      for (int s = 0; s < w.width; ++s) {
        const int v = axes.w.at(q, s);
        if (v < 0) continue;
        const Vec<float, G> value = load_f32<G>(x.at((image + h) * from.width + v) + c);
        const Vec<float, G> f = load<G>(&filters[(r * w.width + s) * slab_channels + lane * G]);
        ATROUS_UNROLL
        for (int e = 0; e < G; ++e) sum[e] += value[e] * f[e];
      }
    }
    store_f32<G>(y.at(pixel) + c, sum);
  }
}

template <class T, int G, class Axis>
void run_vectorised(const AxisPair<Axis>& axes, const Conv2dProblem& p, const Tensor& x, const Tensor& w,
                    const Tensor& bias, const Tensor& y) {
  const Slab slab = slab_of(y.channels(), G);
  const int64_t pixels = y.pixels();
  launch<depthwise_vectorised_kernel<T, G, Axis>>(
      {{blocks_for(pixels, threads / slab.lanes * slab.rounds), blocks_for(slab.groups, slab.lanes)},
       threads,
       static_cast<size_t>(p.r * p.s * slab.lanes * G) * sizeof(float)},
      axes, pixels_of<const T>(x), image_of(x), filters_of<T>(p, w), bias_of(bias), pixels_of<T>(y),
      image_of(y), static_cast<int>(pixels), slab);
}

template <class Axis>
void choose_vectorised(const AxisPair<Axis>& axes, const Conv2dProblem& p, const Tensor& x, const Tensor& w,
                       const Tensor& bias, const Tensor& y) {
  visit_activation(p.dtype, [&](auto type) {
    using T = decltype(type);
    constexpr int wide = vector_width<T>;
    vectorises(x, wide) && vectorises(y, wide) ? run_vectorised<T, wide>(axes, p, x, w, bias, y)
                                               : run_vectorised<T, 1>(axes, p, x, w, bias, y);
  });
}

// ---- window

constexpr int window_threads = 128;

// Along the rows: the window of output o begins at input o*stride + offset; `flip` turns the filter around.
struct WindowPlan {
  int stride_h, stride_w, offset_h, offset_w, dilation_h, dilation_w;
  bool flip;
};

// R x S taps; from one output to the next the window moves by Shift taps. `count` threads have work.
template <class T, int G, int R, int S, int Shift>
__global__ void __launch_bounds__(window_threads)
    depthwise_window_kernel(WindowPlan plan, Walk walk, Pixels<const T> x, Image from, Filters<T> w,
                            const float* bias, Pixels<T> y, Image to, int64_t count) {
  const int64_t i = blockIdx.x * int64_t{window_threads} + threadIdx.x;
  if (i >= count) return;
  const int groups = to.channels / G, c = static_cast<int>(i % groups) * G;
  const int64_t unit = i / groups, out_row = unit / walk.per_row(), image = out_row / to.height;
  const int strip = static_cast<int>(unit % walk.per_row()), p = static_cast<int>(out_row % to.height);
  const int first = walk.first(strip), outputs = walk.count(strip, to.width);

  Vec<float, G> filter[R * S], start{};
  ATROUS_UNROLL
  for (int tap = 0; tap < R * S; ++tap) {
    for (int e = 0; e < G; ++e) filter[tap][e] = w(c + e, plan.flip ? R * S - 1 - tap : tap);
  }
  if (bias) {
    for (int e = 0; e < G; ++e) start[e] = bias[c + e];
  }
  const T* rows[R];
  ATROUS_UNROLL
  for (int r = 0; r < R; ++r) {
    const int h = p * plan.stride_h + plan.offset_h + r * plan.dilation_h;
    rows[r] = h >= 0 && h < from.height ? x.at((image * from.height + h) * from.width) + c : nullptr;
  }

  Column<T, G, R> window[S];  // the last S columns; those of the first output but for its newest Shift
  int v = first * plan.stride_w + plan.offset_w;
  ATROUS_UNROLL
  for (int s = Shift; s < S; ++s, v += plan.dilation_w) window[s].read(rows, v, from.width, x.stride);
  T* out = y.at(out_row * to.width + first) + c;
  for (int o = 0; o < outputs; ++o, out += walk.step * y.stride) {
    ATROUS_UNROLL
    for (int s = 0; s + Shift < S; ++s) window[s] = window[s + Shift];
    ATROUS_UNROLL
    for (int s = S - Shift; s < S; ++s, v += plan.dilation_w) window[s].read(rows, v, from.width, x.stride);
    Vec<float, G> sum = start;
    ATROUS_UNROLL
    for (int tap = 0; tap < R * S; ++tap) {
      ATROUS_UNROLL
      for (int e = 0; e < G; ++e) sum[e] += window[tap % S].at[tap / S][e] * filter[tap][e];
    }
    store_f32<G>(out, sum);
  }
}

template <class T, int G, int R, int S, int Shift>
void run_window(const WindowPlan& plan, const Walk& walk, const Conv2dProblem& p, const Tensor& x,
                const Tensor& w, const Tensor& bias, const Tensor& y) {
  const int64_t count = y.dim(0) * y.dim(1) * walk.per_row() * (y.channels() / G);
  launch<depthwise_window_kernel<T, G, R, S, Shift>>(
      {blocks_for(count, window_threads), window_threads}, plan, walk, pixels_of<const T>(x), image_of(x),
      filters_of<T>(p, w), bias_of(bias), pixels_of<T>(y), image_of(y), count);
}

// 4 channels for 3x3 and 2 for 5x5: window and filter must fit into a thread's registers beside each other.
template <class T, int Taps>
void choose_window(const WindowPlan& plan, const Walk& walk, const Conv2dProblem& p, const Tensor& x,
                   const Tensor& w, const Tensor& bias, const Tensor& y) {
  constexpr int wide = Taps == 3 ? 4 : 2;
  const bool vector = vectorises(x, wide) && vectorises(y, wide);
  if (walk.shift == 1) {
    vector ? run_window<T, wide, Taps, Taps, 1>(plan, walk, p, x, w, bias, y)
           : run_window<T, 1, Taps, Taps, 1>(plan, walk, p, x, w, bias, y);
  } else {
    vector ? run_window<T, wide, Taps, Taps, 2>(plan, walk, p, x, w, bias, y)
           : run_window<T, 1, Taps, Taps, 2>(plan, walk, p, x, w, bias, y);
  }
}

void window(const WindowPlan& plan, const Conv2dProblem& p, const Tensor& x, const Tensor& w,
            const Tensor& bias, const Tensor& y) {
  const Walk walk = Walk::of(plan.stride_w, plan.dilation_w, y.dim(2), 16);
  visit_activation(p.dtype, [&](auto type) {
    using T = decltype(type);
    p.r == 3 ? choose_window<T, 3>(plan, walk, p, x, w, bias, y)
             : choose_window<T, 5>(plan, walk, p, x, w, bias, y);
  });
}

}  // namespace

void conv2d_forward_depthwise_naive(const Conv2dProblem& p, const Tensor& x, const Tensor& w,
                                    const Conv2dFusion& f, const Tensor& y) {
  visit_activation(p.dtype, [&](auto type) {
    using T = decltype(type);
    launch<depthwise_forward_naive_kernel<T>>({blocks_for(y.numel(), threads), threads}, forward_axes(p),
                                              pixels_of<const T>(x), image_of(x), filters_of<T>(p, w),
                                              bias_of(f.bias), pixels_of<T>(y), image_of(y), y.numel());
  });
}

void conv2d_backward_input_depthwise_naive(const Conv2dProblem& p, const Tensor& dy, const Tensor& w,
                                           const Tensor&, const Tensor& dx) {
  visit_activation(p.dtype, [&](auto type) {
    using T = decltype(type);
    launch<depthwise_backward_input_naive_kernel<T>>(
        {blocks_for(dx.numel(), threads), threads}, backward_axes(p), pixels_of<const T>(dy), image_of(dy),
        filters_of<T>(p, w), pixels_of<T>(dx), image_of(dx), dx.numel());
  });
}

void conv2d_forward_depthwise_vectorised(const Conv2dProblem& p, const Tensor& x, const Tensor& w,
                                         const Conv2dFusion& f, const Tensor& y) {
  choose_vectorised(forward_axes(p), p, x, w, f.bias, y);
}

void conv2d_backward_input_depthwise_vectorised(const Conv2dProblem& p, const Tensor& dy, const Tensor& w,
                                                const Tensor&, const Tensor& dx) {
  choose_vectorised(backward_axes(p), p, dy, w, {}, dx);
}

void conv2d_forward_depthwise_window(const Conv2dProblem& p, const Tensor& x, const Tensor& w,
                                     const Conv2dFusion& f, const Tensor& y) {
  window({static_cast<int>(p.stride_h), static_cast<int>(p.stride_w), static_cast<int>(-p.pad_h),
          static_cast<int>(-p.pad_w), static_cast<int>(p.dilation_h), static_cast<int>(p.dilation_w), false},
         p, x, w, f.bias, y);
}

// Input i gathers dy at i + pad - t*dilation; with t = taps - 1 - t' that is i + t'*dilation + (pad -
// extent).
void conv2d_backward_input_depthwise_window(const Conv2dProblem& p, const Tensor& dy, const Tensor& w,
                                            const Tensor&, const Tensor& dx) {
  window({1, 1, static_cast<int>(p.pad_h - p.dilation_h * (p.r - 1)),
          static_cast<int>(p.pad_w - p.dilation_w * (p.s - 1)), static_cast<int>(p.dilation_h),
          static_cast<int>(p.dilation_w), true},
         p, dy, w, {}, dx);
}

}  // namespace atrous::kernels::ATROUS_GPU
