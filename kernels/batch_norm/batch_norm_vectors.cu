// The [C] vectors between the passes of batch norm, one thread per channel, so that they never leave the GPU:
// statistics from sums that a convolution collected, running statistics, invstd = 1 / sqrt(var + eps). And
// their use in inference: filters [K, R, S, C] with the norm folded in, one block per filter.
//
// f64 inside, as on the CPU: E[x^2] - mean^2 cancels, and a few thousand values cost nothing.
#include <algorithm>
#include <cmath>

#include "kernels/batch_norm/batch_norm_impl.h"
#include "kernels/gpu/gpu.h"

namespace atrous::kernels::ATROUS_GPU {
namespace {

constexpr int threads = 256;

LaunchShape thread_each(int64_t n) {
  return {blocks_for(n, threads), threads};
}

template <class S>
__global__ __launch_bounds__(threads) void statistics_from_sums(const S* sums, double count, int channels,
                                                                float* mean, float* variance) {
  const int c = static_cast<int>(blockIdx.x * threads + threadIdx.x);
  if (c >= channels) return;
  const double m = static_cast<double>(sums[c]) / count;
  const double v = static_cast<double>(sums[channels + c]) / count - m * m;
  mean[c] = static_cast<float>(m);
  variance[c] = static_cast<float>(v < 0 ? 0 : v);
}

__global__ __launch_bounds__(threads) void update_running(const float* mean, const float* variance,
                                                          double momentum, double unbias, int channels,
                                                          float* running_mean, float* running_var) {
  const int c = static_cast<int>(blockIdx.x * threads + threadIdx.x);
  if (c >= channels) return;
  running_mean[c] = static_cast<float>((1 - momentum) * static_cast<double>(running_mean[c]) +
                                       momentum * static_cast<double>(mean[c]));
  running_var[c] = static_cast<float>((1 - momentum) * static_cast<double>(running_var[c]) +
                                      momentum * unbias * static_cast<double>(variance[c]));
}

__global__ __launch_bounds__(threads) void invstd_of(const float* variance, double eps, int channels,
                                                     float* invstd) {
  const int c = static_cast<int>(blockIdx.x * threads + threadIdx.x);
  if (c < channels) invstd[c] = static_cast<float>(1 / std::sqrt(static_cast<double>(variance[c]) + eps));
}

struct Constants {
  const float *gamma, *beta, *mean, *variance;
  const float* bias;  // or null
  double eps;
};

template <class T>
__global__ __launch_bounds__(threads) void fold(const float* filter, Constants of, int64_t per_filter,
                                                T* weight, float* folded_bias) {
  const auto k = static_cast<int64_t>(blockIdx.x);
  const double scale =
      static_cast<double>(of.gamma[k]) / std::sqrt(static_cast<double>(of.variance[k]) + of.eps);
  const auto factor = static_cast<float>(scale);
  for (int64_t i = threadIdx.x; i < per_filter; i += threads)
    weight[k * per_filter + i] = static_cast<T>(factor * filter[k * per_filter + i]);
  if (threadIdx.x != 0) return;
  const double shift = static_cast<double>(of.beta[k]) - static_cast<double>(of.mean[k]) * scale;
  folded_bias[k] = static_cast<float>((of.bias ? scale * static_cast<double>(of.bias[k]) : 0.0) + shift);
}

}  // namespace

void batch_norm_statistics_from_sums_naive(const BatchNormProblem&, const Tensor& sums, int64_t count,
                                           const Tensor& mean, const Tensor& variance) {
  const Tensor dense = sums.contiguous_copy_if_needed();
  const auto run = [&](auto tag) {
    using S = decltype(tag);
    launch<statistics_from_sums<S>>(thread_each(mean.numel()), static_cast<const S*>(dense.device_data<S>()),
                                    static_cast<double>(count), static_cast<int>(mean.numel()),
                                    mean.device_data<float>(), variance.device_data<float>());
  };
  sums.dtype() == DType::f64 ? run(double{}) : run(float{});
}

void batch_norm_update_running_naive(const BatchNormProblem&, const Tensor& mean, const Tensor& variance,
                                     double momentum, double unbias, const Tensor& running_mean,
                                     const Tensor& running_var) {
  launch<update_running>(thread_each(mean.numel()), static_cast<const float*>(mean.device_data<float>()),
                         static_cast<const float*>(variance.device_data<float>()), momentum, unbias,
                         static_cast<int>(mean.numel()), running_mean.device_data<float>(),
                         running_var.device_data<float>());
}

void batch_norm_invstd_naive(const BatchNormProblem&, const Tensor& variance, double eps,
                             const Tensor& invstd) {
  launch<invstd_of>(thread_each(variance.numel()), static_cast<const float*>(variance.device_data<float>()),
                    eps, static_cast<int>(variance.numel()), invstd.device_data<float>());
}

void batch_norm_fold_naive(const BatchNormProblem& problem, const Tensor& filter, const Tensor& bias,
                           const Tensor& gamma, const Tensor& beta, const Tensor& mean,
                           const Tensor& variance, double eps, const Tensor& weight,
                           const Tensor& folded_bias) {
  const int64_t filters = filter.dim(0);
  const Constants of{gamma.device_data<float>(),
                     beta.device_data<float>(),
                     mean.device_data<float>(),
                     variance.device_data<float>(),
                     bias.defined() ? bias.device_data<float>() : nullptr,
                     eps};
  visit_activation(problem.dtype, [&](auto tag) {
    using T = decltype(tag);
    launch<fold<T>>({filters, threads}, static_cast<const float*>(filter.device_data<float>()), of,
                    filter.numel() / std::max<int64_t>(1, filters), weight.device_data<T>(),
                    folded_bias.device_data<float>());
  });
}

}  // namespace atrous::kernels::ATROUS_GPU
