// Gaussian sum over all pixels:  y_i = after_i * sum_j exp(-|p_i - p_j|^2 / (2 sigma^2)) * before_j * x_j,
// in two passes, along rows into a workspace and then along columns. x is [N][H][W][C], pixel-strided.
//
// The ladder:
//   naive  a thread per element and pass: neighbouring threads read neighbouring channels, the taps of
//          a block are in shared memory (in global memory there would be a copy from the host)
#include <algorithm>

#include "kernels/common/divide.h"
#include "kernels/gaussian_filter/gaussian_filter_impl.h"
#include "kernels/gpu/gpu.h"

namespace atrous::kernels::gaussian_filter_impl::ATROUS_GPU {
namespace {

constexpr int threads = 256;
constexpr int shared_taps = 1024;  // taps farther out are computed where they are needed

// The taps of one axis as passed to a kernel.
struct Taps {
  int radius;
  float scale;  // -1 / (2 sigma^2)
  Taps(double sigma, int64_t farthest)
      : radius(static_cast<int>(gaussian_taps(sigma, farthest).size()) - 1),
        scale(static_cast<float>(std::max(-1e30, -0.5 / (sigma * sigma)))) {}  // times 0 it must be 0
  __device__ float at(int distance) const {
    const float r = static_cast<float>(distance);
    return std::exp(r * r * scale);
  }
};

// One axis: positions are `length` pixels, `step` pixels apart. The factors `before` of the pixels that are
// read and `after` of the one that is written may be null.
template <class From, class To>
__global__ void __launch_bounds__(threads)
    axis_naive(Taps taps, Pixels<const From> x, const From* before, const To* after, To* y, int64_t pixels,
               int channels, int length, int64_t step) {
  ATROUS_SHARED(float, weights, [shared_taps]);
  for (int r = static_cast<int>(threadIdx.x); r <= min(taps.radius, shared_taps - 1); r += threads)
    weights[r] = taps.at(r);
  __syncthreads();
  const Division item = divide(static_cast<int64_t>(blockIdx.x) * threads + threadIdx.x, channels);
  const int64_t pixel = item.quotient;
  if (pixel >= pixels) return;
  const int at = static_cast<int>(pixel / step % length);
  const int first = max(0, at - taps.radius), last = min(length - 1, at + taps.radius);
  float sum = 0;
  for (int j = first; j <= last; ++j) {
    const int64_t other = pixel + (j - at) * step;
    const int distance = j < at ? at - j : j - at;
    const float value = static_cast<float>(x.at(other)[item.remainder]);
    const float weight = distance < shared_taps ? weights[distance] : taps.at(distance);
    sum += weight * (before ? static_cast<float>(before[other]) * value : value);
  }
  if (after) sum *= static_cast<float>(after[pixel]);
  y[pixel * channels + item.remainder] = static_cast<To>(sum);
}

}  // namespace

void filter_naive(const GaussianFilterProblem& p, const Tensor& x, const Tensor& before, const Tensor& after,
                  const Tensor& y) {
  const Tensor rows = Tensor::empty(x.shape(), DType::f32, x.device());
  const LaunchShape shape{blocks_for(x.numel(), threads), threads};
  const int channels = static_cast<int>(p.channels);
  visit_activation(p.dtype, [&]<class T>(T) {
    const T* const no_factors = nullptr;
    launch<axis_naive<T, float>>(shape, Taps(p.sigma, p.width - 1), pixels_of<const T>(x),
                                 before.defined() ? before.device_data<T>() : no_factors,
                                 static_cast<const float*>(nullptr), rows.device_data<float>(), x.pixels(),
                                 channels, static_cast<int>(p.width), int64_t{1});
    launch<axis_naive<float, T>>(shape, Taps(p.sigma, p.height - 1), pixels_of<const float>(rows),
                                 static_cast<const float*>(nullptr),
                                 after.defined() ? after.device_data<T>() : no_factors, y.device_data<T>(),
                                 x.pixels(), channels, static_cast<int>(p.height), p.width);
  });
}

}  // namespace atrous::kernels::gaussian_filter_impl::ATROUS_GPU
