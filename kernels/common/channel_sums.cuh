// Sums over pixels per channel: one launch, one read, the same bits on every run.
//
// Each thread sums its pixels in registers; the rows of a block are merged in shared memory, pairwise; each
// block writes its part, and the last one to arrive merges the parts in the order of the strips. So no float
// is added atomically.
#pragma once

#include "kernels/common/activation.h"
#include "kernels/common/channel_grid.cuh"
#include "kernels/gpu/tickets.h"

namespace atrous::kernels::ATROUS_GPU {

// Number, mean, and sum of squared deviations. Sums of x and x^2 would cancel where the mean is large;
// merging means does not (Chan, Golub, LeVeque, "Updating formulae and a pairwise algorithm for computing
// sample variances", 1979, eq. 2.1).
struct Moments {
  float count, mean, m2;
  __device__ void merge(const Moments& o) {
    if (o.count == 0) return;
    const float n = count + o.count;
    const float share = o.count / n, delta = o.mean - mean;
    mean += delta * share;
    m2 += o.m2 + delta * delta * (count * share);
    count = n;
  }
};

// g = dy through an activation; gx = g * (x - mean).
struct GradientSums {
  float g, gx;
  __device__ void merge(const GradientSums& o) {
    g += o.g;
    gx += o.gx;
  }
};

// The value that means are relative to, the same for all threads: its first one. An f32 mean of 10000 would
// be off by more than the merging of means tolerates.
template <class T>
struct Origin {
  Pixels<const T> x;
  int64_t pixels;  // per image
  __device__ float at(int64_t image, int channel) const {
    return static_cast<float>(x.at(image * pixels)[channel]);
  }
};

// One thread's Moments of W channels. The pixels of a group are in registers at once: their own mean and
// squares first, then one merge for all of them; a division per group, not per value.
template <class T, int W>
struct MomentsWalk {
  using Sum = Moments;
  using Arguments = Origin<T>;
  Pixels<const T> x;
  float count = 0, origin[W] = {}, mean[W] = {}, m2[W] = {};

  __device__ MomentsWalk(const Arguments& a, const ChannelPlace& at) : x{a.x.data + at.channel, a.x.stride} {
    if (at.count == 0) return;
    ATROUS_UNROLL
    for (int j = 0; j < W; ++j) origin[j] = a.at(at.image, at.channel + j);
  }

  template <int K>
  __device__ void run(int64_t pixel, int64_t step) {
    Vec<T, W> v[K] = {};
    ATROUS_UNROLL
    for (int k = 0; k < K; ++k) v[k] = load<W>(x.at(pixel + k * step));
    const float share = K / (count + K), cross = count * share;
    count += K;
    ATROUS_UNROLL
    for (int j = 0; j < W; ++j) {
      float d[K], sum = 0, squares = 0;
      ATROUS_UNROLL
      for (int k = 0; k < K; ++k) sum += d[k] = static_cast<float>(v[k][j]) - origin[j];
      const float own_mean = sum / K, delta = own_mean - mean[j];
      ATROUS_UNROLL
      for (int k = 0; k < K; ++k) squares += (d[k] - own_mean) * (d[k] - own_mean);
      mean[j] += delta * share;
      m2[j] += squares + delta * delta * cross;
    }
  }
  __device__ Sum sum(int j) const { return {count, mean[j], m2[j]}; }
};

// One thread's GradientSums of W channels; writes g to `out` if there is one.
template <class T, int W, class Mean>
struct GradientWalk {
  using Sum = GradientSums;
  struct Arguments {
    Pixels<const T> x, y, dy;
    Pixels<T> out;
    Activation activation;
    Mean mean;  // mean.at(image, channel)
  };
  const Arguments& a;
  int channel;
  float mean[W] = {}, g[W] = {}, gx[W] = {};

  __device__ GradientWalk(const Arguments& arguments, const ChannelPlace& at)
      : a(arguments), channel(at.channel) {
    if (at.count == 0) return;
    ATROUS_UNROLL
    for (int j = 0; j < W; ++j) mean[j] = a.mean.at(at.image, channel + j);
  }

  template <int K>
  __device__ void run(int64_t pixel, int64_t step) {
    Vec<T, W> vx[K] = {}, vdy[K] = {}, vy[K] = {};
    const bool masked = a.activation != Activation::none;
    ATROUS_UNROLL
    for (int k = 0; k < K; ++k) {
      const int64_t p = pixel + k * step;
      vx[k] = load<W>(a.x.at(p) + channel);
      vdy[k] = load<W>(a.dy.at(p) + channel);
      if (masked) vy[k] = load<W>(a.y.at(p) + channel);
    }
    ATROUS_UNROLL
    for (int k = 0; k < K; ++k) {
      Vec<float, W> v;
      ATROUS_UNROLL
      for (int j = 0; j < W; ++j) {
        v[j] = static_cast<float>(vdy[k][j]);
        if (masked) v[j] = activation_gradient(a.activation, static_cast<float>(vy[k][j]), v[j]);
        g[j] += v[j];
        gx[j] += v[j] * (static_cast<float>(vx[k][j]) - mean[j]);
      }
      if (a.out) store_f32<W>(a.out.at(pixel + k * step) + channel, v);
    }
  }
  __device__ Sum sum(int j) const { return {g[j], gx[j]}; }
};

// rows[0] = rows[0] merged with all others, where a row is `width` sums; for all threads of the block.
template <class Sum>
__device__ inline void merge_rows(Sum* rows, int count, int width) {
  const int threads = static_cast<int>(blockDim.x);
  for (int n = count; n > 1; n = (n + 1) / 2) {
    const int kept = (n + 1) / 2;
    __syncthreads();
    for (int i = static_cast<int>(threadIdx.x); i < (n - kept) * width; i += threads)
      rows[i].merge(rows[kept * width + i]);
  }
  __syncthreads();
}

// finish(image, channel, sum) for all of them. `parts` [images, strips, channels] and `counters` [images,
// columns] are needed if there are several strips.
template <class Walk, int W, class Finish>
__global__ __launch_bounds__(channel_threads) void channel_sums(ChannelGrid grid,
                                                                typename Walk::Arguments arguments,
                                                                Finish finish, typename Walk::Sum* parts,
                                                                unsigned* counters) {
  using Sum = typename Walk::Sum;
  ATROUS_SHARED(Sum, tile, [channel_threads * W]);
  const ChannelPlace at = grid.template place<false>();
  const int thread = static_cast<int>(threadIdx.x), width = grid.lanes * W;
  const int first_channel = at.column * width, own = min(width, grid.channels - first_channel);
  {
    Walk own_pixels(arguments, at);
    walk(at, own_pixels);
    ATROUS_UNROLL
    for (int j = 0; j < W; ++j) tile[thread * W + j] = own_pixels.sum(j);
  }
  merge_rows(tile, grid.rows, width);
  if (grid.strips > 1) {
    Sum* const part = parts + (at.image * grid.strips * grid.channels + first_channel);
    for (int i = thread; i < own; i += channel_threads) part[at.strip * grid.channels + i] = tile[i];
    if (!last_block_to_arrive(counters + at.image * grid.columns + at.column,
                              static_cast<unsigned>(grid.strips)))
      return;
    for (int j = 0; j < W; ++j) {
      const int i = thread % grid.lanes * W + j;
      Sum sum{};
      for (int64_t s = at.row; i < own && at.row < grid.rows && s < grid.strips; s += grid.rows)
        sum.merge(part[s * grid.channels + i]);
      tile[thread * W + j] = sum;
    }
    merge_rows(tile, grid.rows, width);
  }
  for (int i = thread; i < own; i += channel_threads) finish(at.image, first_channel + i, tile[i]);
}

template <class Walk, int W, class Finish>
void launch_channel_sums(const Tensor& x, int64_t images, const typename Walk::Arguments& arguments,
                         const Finish& finish) {
  using Sum = typename Walk::Sum;
  // Enough blocks to fill a GPU once, few enough that merging their parts is cheap.
  const ChannelGrid grid(x, images, W, 256, 4 * pixels_in_flight);
  Tensor parts;
  unsigned* counters = nullptr;
  if (grid.strips > 1) {
    const int64_t words = sizeof(Sum) / sizeof(float);
    parts = Tensor::empty({images * grid.strips * grid.channels * words}, DType::f32, x.device());
    counters = tickets(x.device(), images * grid.columns);
  }
  launch<channel_sums<Walk, W, Finish>>(grid.shape(), grid, arguments, finish,
                                        reinterpret_cast<Sum*>(parts.device_raw()), counters);
}

}  // namespace atrous::kernels::ATROUS_GPU
