// Element-wise passes with parameters per channel: the application of statistics in every normalisation. One
// read of each input, one write; from the end of the tensor to its start, where the sums left the L2 cache.
#pragma once

#include "kernels/common/activation.h"
#include "kernels/common/channel_grid.cuh"

namespace atrous::kernels::ATROUS_GPU {

// y = act((x - mean) * scale + shift + residual)
struct Affine {
  float mean, scale, shift;
};

// dx = g * g_scale + (x - mean) * x_scale + shift, with g = dy through an activation
struct GradientAffine {
  float mean, g_scale, x_scale, shift;
};

template <class T, int W>
struct AffineWalk {
  struct Arguments {
    Pixels<const T> x, residual;
    Pixels<T> y;
    Activation activation;
  };
  using Parameters = Affine;
  const Arguments& a;
  int channel;
  Affine parameters[W];

  template <int K>
  __device__ void run(int64_t pixel, int64_t step) {
    Vec<T, W> vx[K] = {}, vr[K] = {};
    const bool has_residual{a.residual};
    ATROUS_UNROLL
    for (int k = 0; k < K; ++k) {
      vx[k] = load<W>(a.x.at(pixel + k * step) + channel);
      if (has_residual) vr[k] = load<W>(a.residual.at(pixel + k * step) + channel);
    }
    ATROUS_UNROLL
    for (int k = 0; k < K; ++k) {
      Vec<float, W> v;
      ATROUS_UNROLL
      for (int j = 0; j < W; ++j) {
        const Affine& p = parameters[j];
        v[j] = (static_cast<float>(vx[k][j]) - p.mean) * p.scale + p.shift;
        if (has_residual) v[j] += static_cast<float>(vr[k][j]);
        v[j] = activate(a.activation, v[j]);
      }
      store_f32<W>(a.y.at(pixel + k * step) + channel, v);
    }
  }
};

template <class T, int W>
struct GradientAffineWalk {
  struct Arguments {
    Pixels<const T> x, y, dy;  // x only if x_scale is not 0
    Pixels<T> dx;
    Activation activation;
  };
  using Parameters = GradientAffine;
  const Arguments& a;
  int channel;
  GradientAffine parameters[W];

  template <int K>
  __device__ void run(int64_t pixel, int64_t step) {
    Vec<T, W> vx[K] = {}, vy[K] = {}, vdy[K] = {};
    const bool has_x{a.x}, masked = a.activation != Activation::none;
    ATROUS_UNROLL
    for (int k = 0; k < K; ++k) {
      const int64_t p = pixel + k * step;
      if (has_x) vx[k] = load<W>(a.x.at(p) + channel);
      vdy[k] = load<W>(a.dy.at(p) + channel);
      if (masked) vy[k] = load<W>(a.y.at(p) + channel);
    }
    ATROUS_UNROLL
    for (int k = 0; k < K; ++k) {
      Vec<float, W> v;
      ATROUS_UNROLL
      for (int j = 0; j < W; ++j) {
        const GradientAffine& p = parameters[j];
        v[j] = static_cast<float>(vdy[k][j]);
        if (masked) v[j] = activation_gradient(a.activation, static_cast<float>(vy[k][j]), v[j]);
        v[j] *= p.g_scale;
        if (has_x) v[j] += (static_cast<float>(vx[k][j]) - p.mean) * p.x_scale + p.shift;
      }
      store_f32<W>(a.dx.at(pixel + k * step) + channel, v);
    }
  }
};

// parameters_of.at(image, channel) gives Walk::Parameters.
template <template <class, int> class Walk, class T, int W, class ParametersOf>
__global__ __launch_bounds__(channel_threads) void channel_map(ChannelGrid grid,
                                                               typename Walk<T, W>::Arguments arguments,
                                                               ParametersOf parameters_of) {
  const ChannelPlace at = grid.template place<true>();
  if (at.count == 0) return;
  Walk<T, W> own{arguments, at.channel, {}};
  ATROUS_UNROLL
  for (int j = 0; j < W; ++j) own.parameters[j] = parameters_of.at(at.image, at.channel + j);
  walk(at, own);
}

template <template <class, int> class Walk, class T, int W, class ParametersOf>
void launch_channel_map(const Tensor& like, int64_t images, const typename Walk<T, W>::Arguments& arguments,
                        const ParametersOf& parameters_of) {
  // More than fit at once, so that a slow block leaves no gap; still several pixels for each set of
  // parameters.
  const ChannelGrid grid(like, images, W, 2048, 2 * pixels_in_flight);
  launch<channel_map<Walk, T, W, ParametersOf>>(grid.shape(), grid, arguments, parameters_of);
}

}  // namespace atrous::kernels::ATROUS_GPU
