// Depthwise convolution: gradient of the filter.
//
//   dw[k,r,s] = sum_{n,p,q} dy[n,p,q,k]
//               * x[n, p*stride_h + r*dilation_h - pad_h, q*stride_w + s*dilation_w - pad_w, k/M]
//
// Few results (9 per channel), each a sum over all pixels. dw is f32 and contiguous. The order of every sum
// follows from the shapes alone.
//
//   naive        a block per element of dw
//   vectorised   a block per (chunk of pixels, slab of channels, tap); neighbours read 16-byte groups of
//                channels. Partial results [chunk][tap][k], summed by a second kernel
//   window       a thread keeps the sums of all taps and the input pixels under the filter in registers
//                while it walks along a row: dy is read once instead of once per tap, x about once instead
//                of S times
#include "kernels/conv2d/conv2d_impl.h"
#include "kernels/conv2d/depthwise_window.cuh"
#include "kernels/gpu/gpu.h"

namespace atrous::kernels::ATROUS_GPU {
namespace {

constexpr int threads = 128;

// ---- naive

template <class T>
__global__ void __launch_bounds__(threads)
    depthwise_backward_weight_naive_kernel(AxisPair<ForwardAxis> axes, Pixels<const T> dy, Image out,
                                           int64_t pixels, Pixels<const T> x, Image in, int taps_w, int taps,
                                           float* dw) {
  const int k = static_cast<int>(blockIdx.x) / taps, tap = static_cast<int>(blockIdx.x) % taps;
  const int c = k / (out.channels / in.channels);
  float sum = 0;
  for (int64_t pixel = threadIdx.x; pixel < pixels; pixel += threads) {
    const int64_t row = pixel / out.width;
    const int h = axes.h.at(static_cast<int>(row % out.height), tap / taps_w);
    const int v = axes.w.at(static_cast<int>(pixel % out.width), tap % taps_w);
    if (h < 0 || v < 0) continue;
    sum += static_cast<float>(dy.at(pixel)[k]) *
           static_cast<float>(x.at((row / out.height * in.height + h) * in.width + v)[c]);
  }
  sum = block_reduce<Plus>(sum, 0.f);
  if (threadIdx.x == 0) dw[blockIdx.x] = sum;
}

// ---- shared by the two-stage rungs

// A block: `lanes` groups of channels times threads / lanes workers, which share one of `chunks` chunks of
// the units of work (pixels or strips).
struct Division {
  int lanes, groups;
  int units, chunk;  // chunk: units per block

  int64_t chunks() const { return blocks_for(units, chunk); }
  int64_t slabs() const { return blocks_for(groups, lanes); }

  // Work for every worker, and at most 256 chunks: their partial results stay small beside dy.
  static Division of(int64_t units, int64_t channels, int group, int64_t units_per_worker) {
    Division d{1, static_cast<int>(channels / group), static_cast<int>(units), 1};
    while (d.lanes < d.groups && d.lanes < 32) d.lanes *= 2;
    d.chunk = static_cast<int>(std::max(threads / d.lanes * units_per_worker, blocks_for(units, 256)));
    return d;
  }
};

// Sum over the block's workers, in order; valid in the first `lanes` threads. Contains barriers.
template <int G>
__device__ Vec<float, G> sum_workers(const Vec<float, G>& value, int lanes) {
  ATROUS_SHARED(float, all, [threads * G]);
  __syncthreads();  // the previous use is over
  for (int e = 0; e < G; ++e) all[e * threads + static_cast<int>(threadIdx.x)] = value[e];
  __syncthreads();
  Vec<float, G> sum{};
  if (static_cast<int>(threadIdx.x) < lanes) {
    for (int worker = static_cast<int>(threadIdx.x); worker < threads; worker += lanes) {
      for (int e = 0; e < G; ++e) sum[e] += all[e * threads + worker];
    }
  }
  return sum;
}

// partial: [chunks][taps][K]
__global__ void __launch_bounds__(threads)
    depthwise_sum_chunks_kernel(const float* partial, int64_t chunks, int taps, int channels, float* dw) {
  const int64_t i = blockIdx.x * int64_t{threads} + threadIdx.x, size = int64_t{taps} * channels;
  if (i >= size) return;
  float sum = 0;
  for (int64_t chunk = 0; chunk < chunks; ++chunk) sum += partial[chunk * size + i];
  dw[i % channels * taps + i / channels] = sum;
}

Tensor partial_sums(const Division& d, const Conv2dProblem& p, const Tensor& dw) {
  return Tensor::empty({d.chunks(), p.r * p.s, p.k}, DType::f32, dw.device());
}

void sum_chunks(const Tensor& partial, const Tensor& dw) {
  const int64_t size = partial.dim(1) * partial.dim(2);
  launch<depthwise_sum_chunks_kernel>({blocks_for(size, threads), threads}, partial.device_data<float>(),
                                      partial.dim(0), static_cast<int>(partial.dim(1)),
                                      static_cast<int>(partial.dim(2)), dw.device_data<float>());
}

// ---- vectorised

template <class T, int G>
__global__ void __launch_bounds__(threads)
    depthwise_backward_weight_vectorised_kernel(AxisPair<ForwardAxis> axes, Division d, Pixels<const T> dy,
                                                Image out, Pixels<const T> x, Image in, int taps_w, int taps,
                                                float* partial) {
  const int tap = static_cast<int>(blockIdx.z), workers = threads / d.lanes;
  const int group = static_cast<int>(blockIdx.y) * d.lanes + static_cast<int>(threadIdx.x) % d.lanes,
            c = group * G;
  const int begin = static_cast<int>(blockIdx.x) * d.chunk,
            end = d.units - begin < d.chunk ? d.units : begin + d.chunk;
  Vec<float, G> sum{};
  if (group < d.groups) {
    for (int pixel = begin + static_cast<int>(threadIdx.x) / d.lanes; pixel < end; pixel += workers) {
      const int row = pixel / out.width;
      const int h = axes.h.at(row % out.height, tap / taps_w), v = axes.w.at(pixel % out.width, tap % taps_w);
      if (h < 0 || v < 0) continue;
      const Vec<float, G> g = load_f32<G>(dy.at(pixel) + c);
      const Vec<float, G> value =
          load_f32<G>(x.at((int64_t{row / out.height} * in.height + h) * in.width + v) + c);
      ATROUS_UNROLL
      for (int e = 0; e < G; ++e) sum[e] += g[e] * value[e];
    }
  }
  sum = sum_workers(sum, d.lanes);
  if (static_cast<int>(threadIdx.x) < d.lanes && group < d.groups)
    store<G>(partial + (int64_t{blockIdx.x} * taps + tap) * out.channels + c, sum);
}

template <class T, int G>
void run_vectorised(const Conv2dProblem& p, const Tensor& dy, const Tensor& x, const Tensor& dw) {
  const Division d = Division::of(dy.pixels(), p.k, G, 16);
  const Tensor partial = partial_sums(d, p, dw);
  launch<depthwise_backward_weight_vectorised_kernel<T, G>>(
      {{d.chunks(), d.slabs(), p.r * p.s}, threads}, forward_axes(p), d, pixels_of<const T>(dy), image_of(dy),
      pixels_of<const T>(x), image_of(x), static_cast<int>(p.s), static_cast<int>(p.r * p.s),
      partial.device_data<float>());
  sum_chunks(partial, dw);
}

// ---- window

struct Rates {
  int stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w;
};

// Units are strips of output rows (see Walk); from one output to the next the window moves by Shift taps.
template <class T, int G, int R, int S, int Shift>
__global__ void __launch_bounds__(threads, 3)
    depthwise_backward_weight_window_kernel(Rates rate, Walk walk, Division d, Pixels<const T> dy, Image out,
                                            Pixels<const T> x, Image in, float* partial) {
  const int workers = threads / d.lanes, lane = static_cast<int>(threadIdx.x) % d.lanes;
  const int group = static_cast<int>(blockIdx.y) * d.lanes + lane, c = group * G;
  const int begin = static_cast<int>(blockIdx.x) * d.chunk,
            end = d.units - begin < d.chunk ? d.units : begin + d.chunk;
  Vec<float, G> sums[R * S];
  ATROUS_UNROLL
  for (int tap = 0; tap < R * S; ++tap) sums[tap] = Vec<float, G>{};
  for (int unit = begin + static_cast<int>(threadIdx.x) / d.lanes; group < d.groups && unit < end;
       unit += workers) {
    const int out_row = unit / walk.per_row(), strip = unit % walk.per_row(), p = out_row % out.height;
    const int64_t image = out_row / out.height;
    const int first = walk.first(strip), outputs = walk.count(strip, out.width);
    const T* rows[R];
    ATROUS_UNROLL
    for (int r = 0; r < R; ++r) {
      const int h = p * rate.stride_h - rate.pad_h + r * rate.dilation_h;
      rows[r] = h >= 0 && h < in.height ? x.at((image * in.height + h) * in.width) + c : nullptr;
    }
    Column<T, G, R> window[S];
    int v = first * rate.stride_w - rate.pad_w;
    ATROUS_UNROLL
    for (int s = Shift; s < S; ++s, v += rate.dilation_w) window[s].read(rows, v, in.width, x.stride);
    const T* g = dy.at(int64_t{out_row} * out.width + first) + c;
    for (int o = 0; o < outputs; ++o, g += walk.step * dy.stride) {
      ATROUS_UNROLL
      for (int s = 0; s + Shift < S; ++s) window[s] = window[s + Shift];
      ATROUS_UNROLL
      for (int s = S - Shift; s < S; ++s, v += rate.dilation_w) window[s].read(rows, v, in.width, x.stride);
      const Vec<float, G> gradient = load_f32<G>(g);
      ATROUS_UNROLL
      for (int tap = 0; tap < R * S; ++tap) {
        ATROUS_UNROLL
        for (int e = 0; e < G; ++e) sums[tap][e] += gradient[e] * window[tap % S].at[tap / S][e];
      }
    }
  }
  ATROUS_UNROLL
  for (int tap = 0; tap < R * S; ++tap) {
    const Vec<float, G> sum = sum_workers(sums[tap], d.lanes);
    if (static_cast<int>(threadIdx.x) < d.lanes && group < d.groups)
      store<G>(partial + (int64_t{blockIdx.x} * R * S + tap) * out.channels + c, sum);
  }
}

template <class T, int G, int Taps, int Shift>
void run_window(const Walk& walk, const Conv2dProblem& p, const Tensor& dy, const Tensor& x,
                const Tensor& dw) {
  const Division d = Division::of(p.n * p.p() * walk.per_row(), p.k, G, 4);
  const Tensor partial = partial_sums(d, p, dw);
  const Rates rate{static_cast<int>(p.stride_h),   static_cast<int>(p.stride_w),
                   static_cast<int>(p.pad_h),      static_cast<int>(p.pad_w),
                   static_cast<int>(p.dilation_h), static_cast<int>(p.dilation_w)};
  launch<depthwise_backward_weight_window_kernel<T, G, Taps, Taps, Shift>>(
      {{d.chunks(), d.slabs()}, threads}, rate, walk, d, pixels_of<const T>(dy), image_of(dy),
      pixels_of<const T>(x), image_of(x), partial.device_data<float>());
  sum_chunks(partial, dw);
}

// 4 channels for 3x3 and 2 for 5x5: window and sums must fit into a thread's registers beside each other.
template <class T, int Taps>
void choose_window(const Conv2dProblem& p, const Tensor& dy, const Tensor& x, const Tensor& dw) {
  constexpr int wide = Taps == 3 ? 4 : 2;
  const Walk walk = Walk::of(p.stride_w, p.dilation_w, p.q(), 16);
  const bool vector = vectorises(x, wide) && vectorises(dy, wide);
  if (walk.shift == 1) {
    vector ? run_window<T, wide, Taps, 1>(walk, p, dy, x, dw) : run_window<T, 1, Taps, 1>(walk, p, dy, x, dw);
  } else {
    vector ? run_window<T, wide, Taps, 2>(walk, p, dy, x, dw) : run_window<T, 1, Taps, 2>(walk, p, dy, x, dw);
  }
}

}  // namespace

void conv2d_backward_weight_depthwise_naive(const Conv2dProblem& p, const Tensor& dy, const Tensor& x,
                                            const Tensor& dw) {
  visit_activation(p.dtype, [&](auto type) {
    using T = decltype(type);
    launch<depthwise_backward_weight_naive_kernel<T>>(
        {dw.numel(), threads}, forward_axes(p), pixels_of<const T>(dy), image_of(dy), dy.pixels(),
        pixels_of<const T>(x), image_of(x), static_cast<int>(p.s), static_cast<int>(p.r * p.s),
        dw.device_data<float>());
  });
}

void conv2d_backward_weight_depthwise_vectorised(const Conv2dProblem& p, const Tensor& dy, const Tensor& x,
                                                 const Tensor& dw) {
  visit_activation(p.dtype, [&](auto type) {
    using T = decltype(type);
    constexpr int wide = vector_width<T>;
    vectorises(x, wide) && vectorises(dy, wide) ? run_vectorised<T, wide>(p, dy, x, dw)
                                                : run_vectorised<T, 1>(p, dy, x, dw);
  });
}

void conv2d_backward_weight_depthwise_window(const Conv2dProblem& p, const Tensor& dy, const Tensor& x,
                                             const Tensor& dw) {
  visit_activation(p.dtype, [&](auto type) {
    using T = decltype(type);
    p.r == 3 ? choose_window<T, 3>(p, dy, x, dw) : choose_window<T, 5>(p, dy, x, dw);
  });
}

}  // namespace atrous::kernels::ATROUS_GPU
