// The per-channel sums of normalisations, for channel_sums (channel_merge.cuh): moments of x, and gradients
// of scale and shift. A Walk sums the pixels of one thread.
#pragma once

#include "kernels/common/activation.h"
#include "kernels/common/channel_merge.cuh"

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
      for (int k = 0; k < K; ++k) {
        d[k] = static_cast<float>(v[k][j]) - origin[j];
        sum += d[k];
      }
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

}  // namespace atrous::kernels::ATROUS_GPU
