// Local response normalisation on a GPU:  y[c] = x[c] * scale[c]^-beta,
// scale[c] = k + alpha/size * sum of x[j]^2 over a window of channels around c, pixel by pixel.
//
// x is [pixels][C], the channels of a pixel dense, so a window is a few neighbouring elements.
//
// The ladder:
//   naive   a thread per element; the elements of its window come from the L1 cache. Backward computes the
//           scale of every channel in the window again: size^2 reads and `size` powers per element
//   shared  a block keeps whole pixels in shared memory: one read of x, and backward one power per element
#include <cmath>

#include "kernels/common/channel_groups.h"
#include "kernels/local_response_norm/local_response_norm_impl.h"

namespace atrous::kernels::ATROUS_GPU {
namespace {

constexpr int threads = 256;

struct Constants {
  int before, after;  // channels of the window on either side
  float k, alpha;     // alpha / size
  float beta, pull;   // 2 * alpha * beta / size

  explicit Constants(const LocalResponseNormProblem& p) {
    const LocalResponseNormOptions& o = p.options;
    const auto size = static_cast<double>(o.size);
    // A window wider than the channels holds them all.
    before = static_cast<int>(std::min(o.size / 2, p.shape[-1]));
    after = static_cast<int>(std::min((o.size - 1) / 2, p.shape[-1]));
    k = static_cast<float>(o.k);
    alpha = static_cast<float>(o.alpha / size);
    beta = static_cast<float>(o.beta);
    pull = static_cast<float>(2 * o.alpha * o.beta / size);
  }

  // The scale of channel c of a pixel.
  template <class T>
  __device__ float scale(const T* x, int c, int channels) const {
    float sum = 0;
    for (int j = max(0, c - before); j <= min(channels - 1, c + after); ++j)
      sum += static_cast<float>(x[j]) * static_cast<float>(x[j]);
    return k + alpha * sum;
  }
  // scale^-beta; the usual beta of 3/4 takes two roots instead of a power.
  __device__ float power(float scale) const {
    if (beta != 0.75f) return std::pow(scale, -beta);
    const float root = std::sqrt(scale);
    return 1 / (root * std::sqrt(root));
  }
};

template <class T>
__global__ __launch_bounds__(threads) void forward_naive(Constants constants, Pixels<const T> x, Pixels<T> y,
                                                         int64_t pixels, int channels) {
  const Division item = divide(static_cast<int64_t>(blockIdx.x) * threads + threadIdx.x, channels);
  if (item.quotient >= pixels) return;
  const T* from = x.at(item.quotient);
  const int c = static_cast<int>(item.remainder);
  y.at(item.quotient)[c] =
      static_cast<T>(static_cast<float>(from[c]) * constants.power(constants.scale(from, c, channels)));
}

template <class T>
__global__ __launch_bounds__(threads) void backward_naive(Constants constants, Pixels<const T> dy,
                                                          Pixels<const T> x, Pixels<T> dx, int64_t pixels,
                                                          int channels) {
  const Division item = divide(static_cast<int64_t>(blockIdx.x) * threads + threadIdx.x, channels);
  if (item.quotient >= pixels) return;
  const T* from = x.at(item.quotient);
  const T* gradient = dy.at(item.quotient);
  const int c = static_cast<int>(item.remainder);
  // The windows that hold c are those of the mirrored window around it.
  float sum = 0;
  for (int j = max(0, c - constants.after); j <= min(channels - 1, c + constants.before); ++j) {
    const float scale = constants.scale(from, j, channels);
    sum += static_cast<float>(gradient[j]) * static_cast<float>(from[j]) * constants.power(scale) / scale;
  }
  const float direct = static_cast<float>(gradient[c]) * constants.power(constants.scale(from, c, channels));
  dx.at(item.quotient)[c] = static_cast<T>(direct - constants.pull * static_cast<float>(from[c]) * sum);
}

// ---- shared ----

// f(pixel, channel, index in the block) for the elements of this block's pixels that are this thread's share.
template <class F>
__device__ void each_element(int64_t pixels, int channels, int per_block, F&& f) {
  const int64_t first = static_cast<int64_t>(blockIdx.x) * per_block;
  const int own = static_cast<int>(min(static_cast<int64_t>(per_block), pixels - first)) * channels;
  for (int i = static_cast<int>(threadIdx.x); i < own; i += threads) f(first + i / channels, i % channels, i);
}

template <class T>
__global__ __launch_bounds__(threads) void forward_shared(Constants constants, Pixels<const T> x, Pixels<T> y,
                                                          int64_t pixels, int channels, int per_block) {
  ATROUS_DYNAMIC_SHARED(shared);
  auto* const tile = reinterpret_cast<float*>(shared);
  each_element(pixels, channels, per_block,
               [&](int64_t p, int c, int i) { tile[i] = static_cast<float>(x.at(p)[c]); });
  __syncthreads();
  each_element(pixels, channels, per_block, [&](int64_t p, int c, int i) {
    y.at(p)[c] = static_cast<T>(tile[i] * constants.power(constants.scale(tile + i - c, c, channels)));
  });
}

template <class T>
__global__ __launch_bounds__(threads) void backward_shared(Constants constants, Pixels<const T> dy,
                                                           Pixels<const T> x, Pixels<T> dx, int64_t pixels,
                                                           int channels, int per_block) {
  ATROUS_DYNAMIC_SHARED(shared);
  auto* const tile = reinterpret_cast<float*>(shared);  // x
  float* const direct = tile + per_block * channels;    // dy * scale^-beta
  float* const pulled = direct + per_block * channels;  // dy * x * scale^-(beta+1)
  each_element(pixels, channels, per_block,
               [&](int64_t p, int c, int i) { tile[i] = static_cast<float>(x.at(p)[c]); });
  __syncthreads();
  each_element(pixels, channels, per_block, [&](int64_t p, int c, int i) {
    const float scale = constants.scale(tile + i - c, c, channels);
    direct[i] = static_cast<float>(dy.at(p)[c]) * constants.power(scale);
    pulled[i] = direct[i] * tile[i] / scale;
  });
  __syncthreads();
  each_element(pixels, channels, per_block, [&](int64_t p, int c, int i) {
    const float* row = pulled + i - c;
    float sum = 0;
    for (int j = max(0, c - constants.after); j <= min(channels - 1, c + constants.before); ++j)
      sum += row[j];
    dx.at(p)[c] = static_cast<T>(direct[i] - constants.pull * tile[i] * sum);
  });
}

LaunchShape thread_each(int64_t n) {
  return {blocks_for(n, threads), threads};
}

// Pixels per block: four elements per thread, or one pixel.
int pixels_per_block(int64_t channels) {
  return static_cast<int>(std::max<int64_t>(1, 4 * threads / channels));
}
LaunchShape shared_shape(const Tensor& x, int tiles) {
  const int per_block = pixels_per_block(x.channels());
  return {blocks_for(x.pixels(), per_block), threads,
          static_cast<size_t>(per_block * x.channels() * tiles) * sizeof(float)};
}

}  // namespace

void local_response_norm_forward_naive(const LocalResponseNormProblem& p, const Tensor& x, const Tensor& y) {
  visit_activation(p.dtype, [&](auto tag) {
    using T = decltype(tag);
    launch<forward_naive<T>>(thread_each(x.numel()), Constants(p), pixels_of<const T>(x), pixels_of<T>(y),
                             x.pixels(), static_cast<int>(x.channels()));
  });
}

void local_response_norm_forward_shared(const LocalResponseNormProblem& p, const Tensor& x, const Tensor& y) {
  visit_activation(p.dtype, [&](auto tag) {
    using T = decltype(tag);
    launch<forward_shared<T>>(shared_shape(x, 1), Constants(p), pixels_of<const T>(x), pixels_of<T>(y),
                              x.pixels(), static_cast<int>(x.channels()), pixels_per_block(x.channels()));
  });
}

void local_response_norm_backward_naive(const LocalResponseNormProblem& p, const Tensor& dy, const Tensor& x,
                                        const Tensor& dx) {
  visit_activation(p.dtype, [&](auto tag) {
    using T = decltype(tag);
    launch<backward_naive<T>>(thread_each(x.numel()), Constants(p), pixels_of<const T>(dy),
                              pixels_of<const T>(x), pixels_of<T>(dx), x.pixels(),
                              static_cast<int>(x.channels()));
  });
}

void local_response_norm_backward_shared(const LocalResponseNormProblem& p, const Tensor& dy, const Tensor& x,
                                         const Tensor& dx) {
  visit_activation(p.dtype, [&](auto tag) {
    using T = decltype(tag);
    launch<backward_shared<T>>(shared_shape(x, 3), Constants(p), pixels_of<const T>(dy),
                               pixels_of<const T>(x), pixels_of<T>(dx), x.pixels(),
                               static_cast<int>(x.channels()), pixels_per_block(x.channels()));
  });
}

}  // namespace atrous::kernels::ATROUS_GPU
