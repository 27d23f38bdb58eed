// Batch norm on a GPU:  y = act((x - mean) * invstd * gamma + beta + residual), statistics over all pixels.
//
// x is [pixels][C], the channels of a pixel dense: a warp reads whole lines only if its lanes are
// neighbouring channels. Everything here is bound by memory, so the ladder counts bytes and launches.
//
// Statistics and the sums of backward, per channel over the pixels:
//   naive      a thread per channel walks over all pixels: C threads for the whole GPU; statistics read x
//              twice
//   columns    a block of 32 channels x 8 rows: eight times the threads, still only C/32 blocks
//   one_read   all of the GPU: 16-byte reads, several in flight per thread, one pass; blocks share the
//              pixels and the last to arrive merges their parts (common/channel_merge.cuh)
//
// apply and the gradient of x, element by element:
//   naive       a thread per element; it finds its channel by a division and loads that channel's parameters
//   vectorised  a thread keeps the parameters of 4 (f32) or 8 (bf16) channels and walks over pixels, from the
//               end of the tensor, where the sums left the L2 cache (common/channel_maps.cuh)
#include "kernels/batch_norm/batch_norm_impl.h"
#include "kernels/common/channel_maps.cuh"
#include "kernels/common/channel_sums.cuh"

namespace atrous::kernels::ATROUS_GPU {
namespace {

// ---- naive ----

constexpr int naive_threads = 256;

// From the squared deviations of a mean that is off by the rounding of a long sum: `rest`, the sum of the
// deviations, gives the error of the mean (the corrected two-pass algorithm).
__device__ void write_statistics(float m, float rest, float squares, float count, float* mean,
                                 float* variance) {
  *mean = m + rest / count;
  const float v = (squares - rest * rest / count) / count;
  *variance = v < 0 ? 0 : v;
}

template <class T>
__global__ __launch_bounds__(naive_threads) void statistics_naive(Pixels<const T> x, int64_t pixels,
                                                                  int channels, float* mean,
                                                                  float* variance) {
  const int c = static_cast<int>(blockIdx.x * naive_threads + threadIdx.x);
  if (c >= channels) return;
  const auto count = static_cast<float>(pixels);
  float sum = 0, rest = 0, squares = 0;
  for (int64_t p = 0; p < pixels; ++p) sum += static_cast<float>(x.at(p)[c]);
  const float m = sum / count;
  for (int64_t p = 0; p < pixels; ++p) {
    const float d = static_cast<float>(x.at(p)[c]) - m;
    rest += d;
    squares += d * d;
  }
  write_statistics(m, rest, squares, count, mean + c, variance + c);
}

template <class T>
struct ApplyArguments {
  Pixels<const T> x, residual;
  const float *mean, *invstd, *gamma, *beta;
  Pixels<T> y;
  Activation activation;
};

template <class T>
__global__ __launch_bounds__(naive_threads) void apply_naive(ApplyArguments<T> a, int64_t pixels,
                                                             int channels) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * naive_threads + threadIdx.x;
  if (i >= pixels * channels) return;
  const int64_t p = i / channels, c = i % channels;
  float v = (static_cast<float>(a.x.at(p)[c]) - a.mean[c]) * a.invstd[c] * a.gamma[c] + a.beta[c];
  if (a.residual) v += static_cast<float>(a.residual.at(p)[c]);
  a.y.at(p)[c] = static_cast<T>(activate(a.activation, v));
}

template <class T>
struct BackwardArguments {
  Pixels<const T> x, y, dy;
  const float *mean, *invstd, *gamma, *dgamma, *dbeta;  // the last two null: constant statistics
  Pixels<T> out;                                        // dresidual or dx
  Activation activation;

  // dy through the activation.
  __device__ float gradient(int64_t p, int64_t c) const {
    const auto g = static_cast<float>(dy.at(p)[c]);
    if (activation == Activation::none) return g;
    return activation_gradient(activation, static_cast<float>(y.at(p)[c]), g);
  }
};

template <class T>
__global__ __launch_bounds__(naive_threads) void backward_sums_naive(BackwardArguments<T> a, int64_t pixels,
                                                                     int channels, float* dgamma,
                                                                     float* dbeta) {
  const int c = static_cast<int>(blockIdx.x * naive_threads + threadIdx.x);
  if (c >= channels) return;
  float sum_g = 0, sum_gx = 0;
  for (int64_t p = 0; p < pixels; ++p) {
    const float g = a.gradient(p, c);
    sum_g += g;
    sum_gx += g * (static_cast<float>(a.x.at(p)[c]) - a.mean[c]);
    if (a.out) a.out.at(p)[c] = static_cast<T>(g);
  }
  dbeta[c] = sum_g;
  dgamma[c] = sum_gx * a.invstd[c];
}

template <class T>
__global__ __launch_bounds__(naive_threads) void backward_input_naive(BackwardArguments<T> a, int64_t pixels,
                                                                      int channels) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * naive_threads + threadIdx.x;
  if (i >= pixels * channels) return;
  const int64_t p = i / channels, c = i % channels;
  float g = a.gradient(p, c);
  if (a.dgamma) {
    const auto count = static_cast<float>(pixels);
    const float xhat = (static_cast<float>(a.x.at(p)[c]) - a.mean[c]) * a.invstd[c];
    g -= a.dbeta[c] / count + xhat * a.dgamma[c] / count;
  }
  a.out.at(p)[c] = static_cast<T>(a.gamma[c] * a.invstd[c] * g);
}

// ---- columns ----

constexpr int column_channels = 32, column_rows = 8;

// Sum over the rows of a block, for each of its columns.
__device__ float sum_rows(float value) {
  ATROUS_SHARED(float, tile, [column_rows][column_channels]);
  __syncthreads();  // the previous use of tile is over
  tile[threadIdx.y][threadIdx.x] = value;
  __syncthreads();
  float sum = 0;
  for (int row = 0; row < column_rows; ++row) sum += tile[row][threadIdx.x];
  return sum;
}

template <class T>
__global__ __launch_bounds__(column_channels* column_rows) void statistics_columns(Pixels<const T> x,
                                                                                   int64_t pixels,
                                                                                   int channels, float* mean,
                                                                                   float* variance) {
  const int c = static_cast<int>(blockIdx.x * column_channels + threadIdx.x);
  const int64_t first = threadIdx.y, end = c < channels ? pixels : 0;  // no thread leaves before the barriers
  const auto count = static_cast<float>(pixels);
  float sum = 0, rest = 0, squares = 0;
  for (int64_t p = first; p < end; p += column_rows) sum += static_cast<float>(x.at(p)[c]);
  const float m = sum_rows(sum) / count;
  for (int64_t p = first; p < end; p += column_rows) {
    const float d = static_cast<float>(x.at(p)[c]) - m;
    rest += d;
    squares += d * d;
  }
  rest = sum_rows(rest);
  squares = sum_rows(squares);
  if (c < channels && threadIdx.y == 0) write_statistics(m, rest, squares, count, mean + c, variance + c);
}

template <class T>
__global__ __launch_bounds__(column_channels* column_rows) void backward_sums_columns(
    BackwardArguments<T> a, int64_t pixels, int channels, float* dgamma, float* dbeta) {
  const int c = static_cast<int>(blockIdx.x * column_channels + threadIdx.x);
  const int64_t end = c < channels ? pixels : 0;
  const float mean = c < channels ? a.mean[c] : 0;
  float sum_g = 0, sum_gx = 0;
  for (int64_t p = threadIdx.y; p < end; p += column_rows) {
    const float g = a.gradient(p, c);
    sum_g += g;
    sum_gx += g * (static_cast<float>(a.x.at(p)[c]) - mean);
    if (a.out) a.out.at(p)[c] = static_cast<T>(g);
  }
  sum_g = sum_rows(sum_g);
  sum_gx = sum_rows(sum_gx);
  if (c >= channels || threadIdx.y != 0) return;
  dbeta[c] = sum_g;
  dgamma[c] = sum_gx * a.invstd[c];
}

// ---- one_read, vectorised: arguments of the shared passes ----

template <class T>
struct WriteStatistics {
  Origin<T> origin;
  float *mean, *variance;
  __device__ void operator()(int64_t, int c, const Moments& m) const {
    mean[c] = origin.at(0, c) + m.mean;
    variance[c] = m.m2 / m.count;
  }
};

struct WriteParameterGradients {
  const float* invstd;
  float *dgamma, *dbeta;
  __device__ void operator()(int64_t, int c, const GradientSums& sums) const {
    dbeta[c] = sums.g;
    dgamma[c] = sums.gx * invstd[c];
  }
};

struct BatchMean {
  const float* mean;
  __device__ float at(int64_t, int c) const { return mean[c]; }
};

struct ApplyParameters {
  const float *mean, *invstd, *gamma, *beta;
  __device__ Affine at(int64_t, int c) const { return {mean[c], gamma[c] * invstd[c], beta[c]}; }
};

// dx = gamma*invstd * (g - dbeta/M - (x - mean)*invstd * dgamma/M), constants taken together.
struct InputGradientParameters {
  const float *mean, *invstd, *gamma, *dgamma, *dbeta;
  float count;
  __device__ GradientAffine at(int64_t, int c) const {
    const float scale = gamma[c] * invstd[c];
    if (!dgamma) return {0, scale, 0, 0};
    return {mean[c], scale, -scale * invstd[c] * (dgamma[c] / count), -scale * (dbeta[c] / count)};
  }
};

// ---- launching ----

const float* floats(const Tensor& t) {
  return t.defined() ? t.device_data<float>() : nullptr;
}

LaunchShape thread_each(int64_t n) {
  return {blocks_for(n, naive_threads), naive_threads};
}
LaunchShape column_blocks(int64_t channels) {
  return {blocks_for(channels, column_channels), {column_channels, column_rows}};
}

template <class T>
ApplyArguments<T> apply_arguments(const BatchNormProblem& problem, const Tensor& x, const Tensor& mean,
                                  const Tensor& invstd, const Tensor& gamma, const Tensor& beta,
                                  const Tensor& residual, const Tensor& y) {
  return {pixels_of<const T>(x), pixels_of<const T>(residual),
          floats(mean),          floats(invstd),
          floats(gamma),         floats(beta),
          pixels_of<T>(y),       problem.activation};
}

template <class T>
BackwardArguments<T> backward_arguments(const BatchNormProblem& problem, const Tensor& x, const Tensor& y,
                                        const Tensor& dy, const Tensor& mean, const Tensor& invstd,
                                        const Tensor& gamma, const Tensor& dgamma, const Tensor& dbeta,
                                        const Tensor& out) {
  return {pixels_of<const T>(x), pixels_of<const T>(y), pixels_of<const T>(dy), floats(mean),
          floats(invstd),        floats(gamma),         floats(dgamma),         floats(dbeta),
          pixels_of<T>(out),     problem.activation};
}

}  // namespace

void batch_norm_statistics_naive(const BatchNormProblem&, const Tensor& x, const Tensor& mean,
                                 const Tensor& variance) {
  visit_activation(x.dtype(), [&](auto tag) {
    using T = decltype(tag);
    launch<statistics_naive<T>>(thread_each(x.channels()), pixels_of<const T>(x), x.pixels(),
                                static_cast<int>(x.channels()), mean.device_data<float>(),
                                variance.device_data<float>());
  });
}

void batch_norm_statistics_columns(const BatchNormProblem&, const Tensor& x, const Tensor& mean,
                                   const Tensor& variance) {
  visit_activation(x.dtype(), [&](auto tag) {
    using T = decltype(tag);
    launch<statistics_columns<T>>(column_blocks(x.channels()), pixels_of<const T>(x), x.pixels(),
                                  static_cast<int>(x.channels()), mean.device_data<float>(),
                                  variance.device_data<float>());
  });
}

void batch_norm_statistics_one_read(const BatchNormProblem&, const Tensor& x, const Tensor& mean,
                                    const Tensor& variance) {
  visit_groups(x.dtype(), true, {x}, [&](auto tag, auto width) {
    using T = decltype(tag);
    constexpr int W = decltype(width)::value;
    const Origin<T> input{pixels_of<const T>(x), x.pixels()};
    launch_channel_sums<MomentsWalk<T, W>, W>(
        x, 1, input, WriteStatistics<T>{input, mean.device_data<float>(), variance.device_data<float>()});
  });
}

void batch_norm_apply_naive(const BatchNormProblem& problem, const Tensor& x, const Tensor& mean,
                            const Tensor& invstd, const Tensor& gamma, const Tensor& beta,
                            const Tensor& residual, const Tensor& y) {
  visit_activation(x.dtype(), [&](auto tag) {
    using T = decltype(tag);
    launch<apply_naive<T>>(thread_each(x.numel()),
                           apply_arguments<T>(problem, x, mean, invstd, gamma, beta, residual, y), x.pixels(),
                           static_cast<int>(x.channels()));
  });
}

void batch_norm_apply_vectorised(const BatchNormProblem& problem, const Tensor& x, const Tensor& mean,
                                 const Tensor& invstd, const Tensor& gamma, const Tensor& beta,
                                 const Tensor& residual, const Tensor& y) {
  visit_groups(x.dtype(), true, {x, residual, y}, [&](auto tag, auto width) {
    using T = decltype(tag);
    launch_channel_map<AffineWalk, T, decltype(width)::value>(
        x, 1, {pixels_of<const T>(x), pixels_of<const T>(residual), pixels_of<T>(y), problem.activation},
        ApplyParameters{floats(mean), floats(invstd), floats(gamma), floats(beta)});
  });
}

void batch_norm_backward_sums_naive(const BatchNormProblem& problem, const Tensor& x, const Tensor& y,
                                    const Tensor& dy, const Tensor& mean, const Tensor& invstd, const Tensor&,
                                    const Tensor&, const Tensor& dgamma, const Tensor& dbeta,
                                    const Tensor& dresidual) {
  visit_activation(x.dtype(), [&](auto tag) {
    using T = decltype(tag);
    launch<backward_sums_naive<T>>(
        thread_each(x.channels()),
        backward_arguments<T>(problem, x, y, dy, mean, invstd, {}, {}, {}, dresidual), x.pixels(),
        static_cast<int>(x.channels()), dgamma.device_data<float>(), dbeta.device_data<float>());
  });
}

void batch_norm_backward_sums_columns(const BatchNormProblem& problem, const Tensor& x, const Tensor& y,
                                      const Tensor& dy, const Tensor& mean, const Tensor& invstd,
                                      const Tensor&, const Tensor&, const Tensor& dgamma, const Tensor& dbeta,
                                      const Tensor& dresidual) {
  visit_activation(x.dtype(), [&](auto tag) {
    using T = decltype(tag);
    launch<backward_sums_columns<T>>(
        column_blocks(x.channels()),
        backward_arguments<T>(problem, x, y, dy, mean, invstd, {}, {}, {}, dresidual), x.pixels(),
        static_cast<int>(x.channels()), dgamma.device_data<float>(), dbeta.device_data<float>());
  });
}

void batch_norm_backward_sums_one_read(const BatchNormProblem& problem, const Tensor& x, const Tensor& y,
                                       const Tensor& dy, const Tensor& mean, const Tensor& invstd,
                                       const Tensor&, const Tensor&, const Tensor& dgamma,
                                       const Tensor& dbeta, const Tensor& dresidual) {
  const Tensor read_y = problem.activation != Activation::none ? y : Tensor();
  visit_groups(x.dtype(), true, {x, read_y, dy, dresidual}, [&](auto tag, auto width) {
    using T = decltype(tag);
    constexpr int W = decltype(width)::value;
    launch_channel_sums<GradientWalk<T, W, BatchMean>, W>(
        x, 1,
        {pixels_of<const T>(x), pixels_of<const T>(read_y), pixels_of<const T>(dy), pixels_of<T>(dresidual),
         problem.activation, BatchMean{floats(mean)}},
        WriteParameterGradients{floats(invstd), dgamma.device_data<float>(), dbeta.device_data<float>()});
  });
}

void batch_norm_backward_input_naive(const BatchNormProblem& problem, const Tensor& x, const Tensor& y,
                                     const Tensor& dy, const Tensor& mean, const Tensor& invstd,
                                     const Tensor& gamma, const Tensor&, const Tensor& dgamma,
                                     const Tensor& dbeta, const Tensor& dx) {
  visit_activation(dy.dtype(), [&](auto tag) {
    using T = decltype(tag);
    launch<backward_input_naive<T>>(
        thread_each(dy.numel()),
        backward_arguments<T>(problem, x, y, dy, mean, invstd, gamma, dgamma, dbeta, dx), dy.pixels(),
        static_cast<int>(dy.channels()));
  });
}

void batch_norm_backward_input_vectorised(const BatchNormProblem& problem, const Tensor& x, const Tensor& y,
                                          const Tensor& dy, const Tensor& mean, const Tensor& invstd,
                                          const Tensor& gamma, const Tensor&, const Tensor& dgamma,
                                          const Tensor& dbeta, const Tensor& dx) {
  const Tensor read_x = dgamma.defined() ? x : Tensor();
  const Tensor read_y = problem.activation != Activation::none ? y : Tensor();
  visit_groups(dy.dtype(), true, {read_x, read_y, dy, dx}, [&](auto tag, auto width) {
    using T = decltype(tag);
    launch_channel_map<GradientAffineWalk, T, decltype(width)::value>(
        dy, 1,
        {pixels_of<const T>(read_x), pixels_of<const T>(read_y), pixels_of<const T>(dy), pixels_of<T>(dx),
         problem.activation},
        InputGradientParameters{floats(mean), floats(invstd), floats(gamma), floats(dgamma), floats(dbeta),
                                static_cast<float>(dy.pixels())});
  });
}

}  // namespace atrous::kernels::ATROUS_GPU
