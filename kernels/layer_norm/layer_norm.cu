// Layer norm on a GPU:  y = (x - mean) * invstd * gamma + beta, statistics over the channels of each pixel.
//
// x is [pixels][C], the channels of a pixel dense. With xhat = (x - mean) * invstd and h = gamma dy
//   dx = invstd * (h - mean_c(h) - xhat mean_c(h xhat)),  dgamma = sum_p dy xhat,  dbeta = sum_p dy
//
// The ladder:
//   naive      a thread per pixel: neighbouring threads are C elements apart, each read of a warp touches 32
//              lines; a thread per channel for gamma and beta
//   warp       a warp per pixel: whole lines; a row is read three times forward, but from the L1 cache the
//              second and third time. gamma and beta by sums per channel (common/channel_sums.cuh)
//   registers  16 or 32 threads per pixel hold its row in registers: 16-byte reads, one for each element;
//              gamma and beta stay in registers from pixel to pixel. Backward sums the gradients of both on
//              the way, so that x and dy are read once instead of twice
#include <cmath>

#include "kernels/common/channel_sums.cuh"
#include "kernels/layer_norm/layer_norm_impl.h"

namespace atrous::kernels::ATROUS_GPU {
namespace {

constexpr int threads = 256;

template <class T>
struct Forward {
  Pixels<const T> x;
  const float *gamma, *beta;
  Pixels<T> y;
  float *mean, *invstd;
  int64_t pixels;
  int channels;
  double eps;

  __device__ float invstd_of(float squares) const {
    return static_cast<float>(1 / std::sqrt(static_cast<double>(squares) / channels + eps));
  }
};

template <class T>
struct Backward {
  Pixels<const T> x, dy;
  const float *mean, *invstd, *gamma;
  Pixels<T> dx;
  float *dgamma, *dbeta;
  int64_t pixels;
  int channels;
};

// ---- naive ----

template <class T>
__global__ __launch_bounds__(threads) void forward_naive(Forward<T> f) {
  const int64_t p = static_cast<int64_t>(blockIdx.x) * threads + threadIdx.x;
  if (p >= f.pixels) return;
  const T* x = f.x.at(p);
  float sum = 0, squares = 0;
  for (int c = 0; c < f.channels; ++c) sum += static_cast<float>(x[c]);
  const float m = sum / static_cast<float>(f.channels);
  for (int c = 0; c < f.channels; ++c) {
    const float d = static_cast<float>(x[c]) - m;
    squares += d * d;
  }
  const float inv = f.invstd_of(squares);
  for (int c = 0; c < f.channels; ++c)
    f.y.at(p)[c] = static_cast<T>((static_cast<float>(x[c]) - m) * inv * f.gamma[c] + f.beta[c]);
  f.mean[p] = m;
  f.invstd[p] = inv;
}

template <class T>
__global__ __launch_bounds__(threads) void backward_input_naive(Backward<T> b) {
  const int64_t p = static_cast<int64_t>(blockIdx.x) * threads + threadIdx.x;
  if (p >= b.pixels) return;
  const auto count = static_cast<float>(b.channels);
  const float m = b.mean[p], inv = b.invstd[p];
  float s1 = 0, s2 = 0;
  for (int c = 0; c < b.channels; ++c) {
    const float h = static_cast<float>(b.dy.at(p)[c]) * b.gamma[c];
    s1 += h;
    s2 += h * (static_cast<float>(b.x.at(p)[c]) - m) * inv;
  }
  for (int c = 0; c < b.channels; ++c) {
    const float h = static_cast<float>(b.dy.at(p)[c]) * b.gamma[c];
    const float xhat = (static_cast<float>(b.x.at(p)[c]) - m) * inv;
    b.dx.at(p)[c] = static_cast<T>(inv * (h - s1 / count - xhat * (s2 / count)));
  }
}

template <class T>
__global__ __launch_bounds__(threads) void backward_parameters_naive(Backward<T> b) {
  const int c = static_cast<int>(blockIdx.x * threads + threadIdx.x);
  if (c >= b.channels) return;
  float sum_dy = 0, sum_dyxhat = 0;
  for (int64_t p = 0; p < b.pixels; ++p) {
    const auto dy = static_cast<float>(b.dy.at(p)[c]);
    sum_dy += dy;
    sum_dyxhat += dy * (static_cast<float>(b.x.at(p)[c]) - b.mean[p]) * b.invstd[p];
  }
  b.dbeta[c] = sum_dy;
  b.dgamma[c] = sum_dyxhat;
}

// ---- warp ----

template <class T>
__global__ __launch_bounds__(threads) void forward_warp(Forward<T> f) {
  const int64_t p = static_cast<int64_t>(blockIdx.x) * (threads / 32) + threadIdx.x / 32;
  const int lane = static_cast<int>(threadIdx.x % 32);
  if (p >= f.pixels) return;  // the whole warp
  const T* x = f.x.at(p);
  float sum = 0, squares = 0;
  for (int c = lane; c < f.channels; c += 32) sum += static_cast<float>(x[c]);
  const float m = warp_reduce<Plus>(sum) / static_cast<float>(f.channels);
  for (int c = lane; c < f.channels; c += 32) {
    const float d = static_cast<float>(x[c]) - m;
    squares += d * d;
  }
  const float inv = f.invstd_of(warp_reduce<Plus>(squares));
  for (int c = lane; c < f.channels; c += 32)
    f.y.at(p)[c] = static_cast<T>((static_cast<float>(x[c]) - m) * inv * f.gamma[c] + f.beta[c]);
  if (lane == 0) {
    f.mean[p] = m;
    f.invstd[p] = inv;
  }
}

template <class T>
__global__ __launch_bounds__(threads) void backward_input_warp(Backward<T> b) {
  const int64_t p = static_cast<int64_t>(blockIdx.x) * (threads / 32) + threadIdx.x / 32;
  const int lane = static_cast<int>(threadIdx.x % 32);
  if (p >= b.pixels) return;
  const auto count = static_cast<float>(b.channels);
  const float m = b.mean[p], inv = b.invstd[p];
  float s1 = 0, s2 = 0;
  for (int c = lane; c < b.channels; c += 32) {
    const float h = static_cast<float>(b.dy.at(p)[c]) * b.gamma[c];
    s1 += h;
    s2 += h * (static_cast<float>(b.x.at(p)[c]) - m) * inv;
  }
  s1 = warp_reduce<Plus>(s1) / count;
  s2 = warp_reduce<Plus>(s2) / count;
  for (int c = lane; c < b.channels; c += 32) {
    const float h = static_cast<float>(b.dy.at(p)[c]) * b.gamma[c];
    const float xhat = (static_cast<float>(b.x.at(p)[c]) - m) * inv;
    b.dx.at(p)[c] = static_cast<T>(inv * (h - s1 - xhat * s2));
  }
}

// For channel_sums: dy and dy * xhat of W channels, where each pixel has its own statistics.
template <class T, int W>
struct ParameterGradientWalk {
  using Sum = GradientSums;
  using Arguments = Backward<T>;
  const Arguments& b;
  int channel;
  float g[W] = {}, gx[W] = {};

  __device__ ParameterGradientWalk(const Arguments& arguments, const ChannelPlace& at)
      : b(arguments), channel(at.channel) {}

  template <int K>
  __device__ void run(int64_t pixel, int64_t step) {
    Vec<T, W> x[K] = {}, dy[K] = {};
    ATROUS_UNROLL
    for (int k = 0; k < K; ++k) {
      x[k] = load<W>(b.x.at(pixel + k * step) + channel);
      dy[k] = load<W>(b.dy.at(pixel + k * step) + channel);
    }
    ATROUS_UNROLL
    for (int k = 0; k < K; ++k) {
      const float m = b.mean[pixel + k * step], inv = b.invstd[pixel + k * step];
      ATROUS_UNROLL
      for (int j = 0; j < W; ++j) {
        const auto v = static_cast<float>(dy[k][j]);
        g[j] += v;
        gx[j] += v * ((static_cast<float>(x[k][j]) - m) * inv);
      }
    }
  }
  __device__ Sum sum(int j) const { return {g[j], gx[j]}; }
};

struct WriteParameterGradients {
  float *dgamma, *dbeta;
  __device__ void operator()(int64_t, int c, const GradientSums& sums) const {
    dbeta[c] = sums.g;
    dgamma[c] = sums.gx;
  }
};

// ---- registers ----

// A row of channels in the registers of a team of Lanes threads: K vectors of W channels each.
template <int W, int Lanes, int K>
struct Row {
  static constexpr int teams = threads / Lanes;  // of a block
  float v[K][W] = {};

  __device__ static int channel(int k) { return (k * Lanes + static_cast<int>(threadIdx.x) % Lanes) * W; }

  // f(k, first channel) for the thread's vectors that exist.
  template <class F>
  __device__ static void each(int channels, F&& f) {
    ATROUS_UNROLL
    for (int k = 0; k < K; ++k) {
      if (channel(k) < channels) f(k, channel(k));
    }
  }
  // Sum over the team, known to all of it. All threads of the warp must call it.
  __device__ static float total(float value) {
    ATROUS_UNROLL
    for (int distance = Lanes / 2; distance > 0; distance /= 2)
      value += __shfl_xor_sync(~0u, value, distance);
    return value;
  }

  template <class T>
  __device__ void load_row(const T* from, int channels) {
    each(channels, [&](int k, int c) {
      const Vec<T, W> raw = load<W>(from + c);
      ATROUS_UNROLL
      for (int j = 0; j < W; ++j) v[k][j] = static_cast<float>(raw[j]);
    });
  }
  // Parameters need not be aligned as rows of activations are.
  __device__ void load_parameters(const float* from, int channels) {
    each(channels, [&](int k, int c) {
      ATROUS_UNROLL
      for (int j = 0; j < W; ++j) v[k][j] = from[c + j];
    });
  }
};

template <class T, int W, int Lanes, int K>
__global__ __launch_bounds__(threads) void forward_registers(Forward<T> f) {
  using R = Row<W, Lanes, K>;
  R gamma, beta, x;
  gamma.load_parameters(f.gamma, f.channels);
  beta.load_parameters(f.beta, f.channels);
  const auto count = static_cast<float>(f.channels);
  const int64_t step = static_cast<int64_t>(gridDim.x) * R::teams;
  // All teams of a block make the same number of steps: the lanes of a warp sum together.
  for (int64_t base = static_cast<int64_t>(blockIdx.x) * R::teams; base < f.pixels; base += step) {
    const int64_t p = base + threadIdx.x / Lanes;
    const int channels = p < f.pixels ? f.channels : 0;
    x.load_row(f.x.at(p), channels);
    float sum = 0, squares = 0;
    R::each(channels, [&](int k, int) {
      for (int j = 0; j < W; ++j) sum += x.v[k][j];
    });
    const float m = R::total(sum) / count;
    R::each(channels, [&](int k, int) {
      for (int j = 0; j < W; ++j) squares += (x.v[k][j] - m) * (x.v[k][j] - m);
    });
    const float inv = f.invstd_of(R::total(squares));
    R::each(channels, [&](int k, int c) {
      Vec<float, W> y;
      for (int j = 0; j < W; ++j) y[j] = (x.v[k][j] - m) * inv * gamma.v[k][j] + beta.v[k][j];
      store_f32<W>(f.y.at(p) + c, y);
    });
    if (channels && threadIdx.x % Lanes == 0) {
      f.mean[p] = m;
      f.invstd[p] = inv;
    }
  }
}

template <class T, int W, int Lanes, int K>
__global__ __launch_bounds__(threads) void backward_registers(Backward<T> b, GradientSums* parts,
                                                              unsigned* counter) {
  using R = Row<W, Lanes, K>;
  ATROUS_DYNAMIC_SHARED(shared);
  R x, dy, g, gx;
  const auto count = static_cast<float>(b.channels);
  const int team = static_cast<int>(threadIdx.x) / Lanes;
  const int64_t step = static_cast<int64_t>(gridDim.x) * R::teams;
  for (int64_t base = static_cast<int64_t>(blockIdx.x) * R::teams; base < b.pixels; base += step) {
    const int64_t p = base + team;
    const int channels = p < b.pixels ? b.channels : 0;
    const float m = channels ? b.mean[p] : 0, inv = channels ? b.invstd[p] : 0;
    x.load_row(b.x.at(p), channels);
    dy.load_row(b.dy.at(p), channels);
    float s1 = 0, s2 = 0;
    R::each(channels, [&](int k, int c) {
      for (int j = 0; j < W; ++j) {
        const float xhat = (x.v[k][j] - m) * inv;
        x.v[k][j] = xhat;
        g.v[k][j] += dy.v[k][j];
        gx.v[k][j] += dy.v[k][j] * xhat;
        const float h = dy.v[k][j] * b.gamma[c + j];
        dy.v[k][j] = h;
        s1 += h;
        s2 += h * xhat;
      }
    });
    s1 = R::total(s1) / count;
    s2 = R::total(s2) / count;
    R::each(channels, [&](int k, int c) {
      Vec<float, W> dx;
      for (int j = 0; j < W; ++j) dx[j] = inv * (dy.v[k][j] - s1 - x.v[k][j] * s2);
      store_f32<W>(b.dx.at(p) + c, dx);
    });
  }
  auto* const tile = reinterpret_cast<GradientSums*>(shared);  // [teams][channels]
  R::each(b.channels, [&](int k, int c) {
    for (int j = 0; j < W; ++j) tile[team * b.channels + c + j] = {g.v[k][j], gx.v[k][j]};
  });
  merge_strips(tile, R::teams, b.channels, b.channels, parts, b.channels, blockIdx.x, gridDim.x, counter,
               [&](int c, const GradientSums& sum) {
                 b.dbeta[c] = sum.g;
                 b.dgamma[c] = sum.gx;
               });
}

// ---- launching ----

template <class T>
Forward<T> forward_arguments(const LayerNormProblem& problem, const Tensor& x, const Tensor& gamma,
                             const Tensor& beta, const Tensor& y, const Tensor& mean, const Tensor& invstd) {
  return {pixels_of<const T>(x),
          gamma.device_data<float>(),
          beta.device_data<float>(),
          pixels_of<T>(y),
          mean.device_data<float>(),
          invstd.device_data<float>(),
          x.pixels(),
          static_cast<int>(x.channels()),
          problem.eps};
}

template <class T>
Backward<T> backward_arguments(const Tensor& x, const Tensor& dy, const Tensor& mean, const Tensor& invstd,
                               const Tensor& gamma, const Tensor& dx, const Tensor& dgamma,
                               const Tensor& dbeta) {
  return {pixels_of<const T>(x),         pixels_of<const T>(dy),     mean.device_data<float>(),
          invstd.device_data<float>(),   gamma.device_data<float>(), pixels_of<T>(dx),
          dgamma.device_data<float>(),   dbeta.device_data<float>(), x.pixels(),
          static_cast<int>(x.channels())};
}

LaunchShape thread_each(int64_t n) {
  return {blocks_for(n, threads), threads};
}
LaunchShape warp_each(int64_t n) {
  return {blocks_for(n, threads / 32), threads};
}

// f(Lanes, K) as integral constants: the smallest team and number of vectors that hold a row.
template <int W, class F>
void visit_row(int64_t channels, F&& f) {
  const int64_t vectors = blocks_for(channels, W);
  const auto run = [&](auto lanes, auto k) { f(lanes, k); };
  using std::integral_constant;
  if constexpr (W > 1) {
    if (vectors <= 16) return run(integral_constant<int, 16>{}, integral_constant<int, 1>{});
  }
  if (vectors <= 32) return run(integral_constant<int, 32>{}, integral_constant<int, 1>{});
  if (vectors <= 128) return run(integral_constant<int, 32>{}, integral_constant<int, 4>{});
  constexpr int most = layer_norm_most_in_registers / 32 / W;
  if constexpr (most > 4) run(integral_constant<int, 32>{}, integral_constant<int, most>{});
}

}  // namespace

void layer_norm_forward_naive(const LayerNormProblem& problem, const Tensor& x, const Tensor& gamma,
                              const Tensor& beta, const Tensor& y, const Tensor& mean, const Tensor& invstd) {
  visit_activation(x.dtype(), [&](auto tag) {
    using T = decltype(tag);
    launch<forward_naive<T>>(thread_each(x.pixels()),
                             forward_arguments<T>(problem, x, gamma, beta, y, mean, invstd));
  });
}

void layer_norm_forward_warp(const LayerNormProblem& problem, const Tensor& x, const Tensor& gamma,
                             const Tensor& beta, const Tensor& y, const Tensor& mean, const Tensor& invstd) {
  visit_activation(x.dtype(), [&](auto tag) {
    using T = decltype(tag);
    launch<forward_warp<T>>(warp_each(x.pixels()),
                            forward_arguments<T>(problem, x, gamma, beta, y, mean, invstd));
  });
}

void layer_norm_forward_registers(const LayerNormProblem& problem, const Tensor& x, const Tensor& gamma,
                                  const Tensor& beta, const Tensor& y, const Tensor& mean,
                                  const Tensor& invstd) {
  visit_groups(x.dtype(), true, {x, y}, [&](auto tag, auto width) {
    using T = decltype(tag);
    constexpr int W = decltype(width)::value;
    visit_row<W>(x.channels(), [&](auto lanes, auto k) {
      constexpr int L = decltype(lanes)::value, K = decltype(k)::value;
      const int64_t blocks = std::min<int64_t>(2048, blocks_for(x.pixels(), Row<W, L, K>::teams));
      launch<forward_registers<T, W, L, K>>({blocks, threads},
                                            forward_arguments<T>(problem, x, gamma, beta, y, mean, invstd));
    });
  });
}

void layer_norm_backward_naive(const LayerNormProblem&, const Tensor& x, const Tensor& dy, const Tensor& mean,
                               const Tensor& invstd, const Tensor& gamma, const Tensor& dx,
                               const Tensor& dgamma, const Tensor& dbeta) {
  visit_activation(x.dtype(), [&](auto tag) {
    using T = decltype(tag);
    const auto b = backward_arguments<T>(x, dy, mean, invstd, gamma, dx, dgamma, dbeta);
    launch<backward_input_naive<T>>(thread_each(x.pixels()), b);
    launch<backward_parameters_naive<T>>(thread_each(x.channels()), b);
  });
}

void layer_norm_backward_warp(const LayerNormProblem&, const Tensor& x, const Tensor& dy, const Tensor& mean,
                              const Tensor& invstd, const Tensor& gamma, const Tensor& dx,
                              const Tensor& dgamma, const Tensor& dbeta) {
  visit_groups(x.dtype(), true, {x, dy}, [&](auto tag, auto width) {
    using T = decltype(tag);
    constexpr int W = decltype(width)::value;
    const auto b = backward_arguments<T>(x, dy, mean, invstd, gamma, dx, dgamma, dbeta);
    launch<backward_input_warp<T>>(warp_each(x.pixels()), b);
    launch_channel_sums<ParameterGradientWalk<T, W>, W>(
        x, 1, b, WriteParameterGradients{dgamma.device_data<float>(), dbeta.device_data<float>()});
  });
}

void layer_norm_backward_registers(const LayerNormProblem&, const Tensor& x, const Tensor& dy,
                                   const Tensor& mean, const Tensor& invstd, const Tensor& gamma,
                                   const Tensor& dx, const Tensor& dgamma, const Tensor& dbeta) {
  visit_groups(x.dtype(), true, {x, dy, dx}, [&](auto tag, auto width) {
    using T = decltype(tag);
    constexpr int W = decltype(width)::value;
    visit_row<W>(x.channels(), [&](auto lanes, auto k) {
      constexpr int L = decltype(lanes)::value, K = decltype(k)::value;
      constexpr int teams = Row<W, L, K>::teams;
      // As for channel sums: fill the GPU once, keep the parts few.
      const int64_t blocks = std::clamp<int64_t>(blocks_for(x.pixels(), teams * 8), 1, 256);
      const Tensor parts = Tensor::empty({blocks, x.channels(), 2}, DType::f32, x.device());
      launch<backward_registers<T, W, L, K>>(
          {blocks, threads, teams * static_cast<size_t>(x.channels()) * sizeof(GradientSums)},
          backward_arguments<T>(x, dy, mean, invstd, gamma, dx, dgamma, dbeta),
          reinterpret_cast<GradientSums*>(parts.device_raw()), tickets(x.device(), 1));
    });
  });
}

}  // namespace atrous::kernels::ATROUS_GPU
