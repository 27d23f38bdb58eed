// Batch norm in f32 on top of the shared per-channel passes.
#include <algorithm>
#include <cmath>
#include <vector>

#include "core/parallel.h"
#include "kernels/batch_norm/batch_norm_impl.h"
#include "kernels/common/channel_ops.h"

namespace atrous::kernels {
namespace {

size_t channels_of(const Tensor& t) {
  return static_cast<size_t>(t.channels());
}

std::vector<float> scale_of(const Tensor& gamma, const Tensor& invstd) {
  std::vector<float> scale(channels_of(gamma));
  for (size_t c = 0; c < scale.size(); ++c) scale[c] = gamma.data<float>()[c] * invstd.data<float>()[c];
  return scale;
}

// Computed from x if possible: backward is bound by memory, and reads x anyway. With the arithmetic of
// apply, so that the two are bit-identical.
ChannelActivation activation_of(const BatchNormProblem& problem, const Tensor& y, const Tensor& beta,
                                const std::vector<float>& scale) {
  if (!beta.defined()) return {.kind = problem.activation, .y = y};
  return {.kind = problem.activation, .y = {}, .scale = scale.data(), .shift = beta.data<float>()};
}

}  // namespace

void BatchNormCpu::statistics(const BatchNormProblem&, const Tensor& x, const Tensor& mean,
                              const Tensor& variance) {
  std::vector<double> m(channels_of(x)), m2(channels_of(x));
  channel_moments(x, 1, m.data(), m2.data());
  const auto count = static_cast<double>(x.pixels());
  for (size_t c = 0; c < m.size(); ++c) {
    mean.data<float>()[c] = static_cast<float>(m[c]);
    variance.data<float>()[c] = static_cast<float>(m2[c] / count);
  }
}

void BatchNormCpu::apply(const BatchNormProblem& problem, const Tensor& x, const Tensor& mean,
                         const Tensor& invstd, const Tensor& gamma, const Tensor& beta,
                         const Tensor& residual, const Tensor& y) {
  const std::vector<float> scale = scale_of(gamma, invstd);
  channel_affine(x, 1, mean.data<float>(), scale.data(), beta.data<float>(), residual, problem.activation, y);
}

void BatchNormCpu::backward_sums(const BatchNormProblem& problem, const Tensor& x, const Tensor& y,
                                 const Tensor& dy, const Tensor& mean, const Tensor& invstd,
                                 const Tensor& gamma, const Tensor& beta, const Tensor& dgamma,
                                 const Tensor& dbeta, const Tensor& dresidual) {
  const std::vector<float> scale = scale_of(gamma, invstd);
  std::vector<double> sum_g(channels_of(x)), sum_gx(channels_of(x));
  channel_gradient_sums(dy, activation_of(problem, y, beta, scale), x, 1, mean.data<float>(), sum_g.data(),
                        sum_gx.data(), dresidual);
  for (size_t c = 0; c < sum_g.size(); ++c) {
    dbeta.data<float>()[c] = static_cast<float>(sum_g[c]);
    dgamma.data<float>()[c] = static_cast<float>(sum_gx[c] * static_cast<double>(invstd.data<float>()[c]));
  }
}

void BatchNormCpu::backward_input(const BatchNormProblem& problem, const Tensor& x, const Tensor& y,
                                  const Tensor& dy, const Tensor& mean, const Tensor& invstd,
                                  const Tensor& gamma, const Tensor& beta, const Tensor& dgamma,
                                  const Tensor& dbeta, const Tensor& dx) {
  const size_t channels = channels_of(dy);
  const auto count = static_cast<double>(dy.pixels());
  const bool training = dgamma.defined();
  // dx = a * g + b * (x - mean) + c, the formula of the header with everything constant per channel taken
  // together.
  std::vector<float> a(channels), b(training ? channels : 0), shift(b.size());
  for (size_t k = 0; k < channels; ++k) {
    const double inv = static_cast<double>(invstd.data<float>()[k]);
    const double scale = static_cast<double>(gamma.data<float>()[k]) * inv;
    a[k] = static_cast<float>(scale);
    if (!training) continue;
    b[k] = static_cast<float>(-scale * inv * static_cast<double>(dgamma.data<float>()[k]) / count);
    shift[k] = static_cast<float>(-scale * static_cast<double>(dbeta.data<float>()[k]) / count);
  }
  const std::vector<float> forward_scale = scale_of(gamma, invstd);
  // With constant statistics x is not read, so the activation's mask comes from y.
  channel_gradient_input(dy, activation_of(problem, y, training ? beta : Tensor(), forward_scale),
                         training ? x : Tensor(), 1, training ? mean.data<float>() : nullptr, a.data(),
                         training ? b.data() : nullptr, training ? shift.data() : nullptr, dx);
}

void BatchNormCpu::fold(const BatchNormProblem&, const Tensor& filter, const Tensor& bias,
                        const Tensor& gamma, const Tensor& beta, const Tensor& mean, const Tensor& variance,
                        double eps, const Tensor& weight, const Tensor& folded_bias) {
  const auto at = [](const Tensor& t, int64_t k) { return static_cast<double>(t.data<float>()[k]); };
  const int64_t filters = filter.dim(0), per_filter = filter.numel() / std::max<int64_t>(1, filters);
  const int64_t filters_per_task = std::max<int64_t>(1, (1 << 15) / std::max<int64_t>(1, per_filter));
  parallel_for(filters, filters_per_task, [&](int64_t begin, int64_t end) {
    for (int64_t k = begin; k < end; ++k) {
      const double scale = at(gamma, k) / std::sqrt(at(variance, k) + eps);
      const double shift = at(beta, k) - at(mean, k) * scale;
      folded_bias.data<float>()[k] = static_cast<float>((bias.defined() ? scale * at(bias, k) : 0.0) + shift);
      const auto factor = static_cast<float>(scale);
      const float* from = filter.data<float>() + k * per_filter;
      float* to = weight.data<float>() + k * per_filter;
      for (int64_t i = 0; i < per_filter; ++i) to[i] = factor * from[i];
    }
  });
}

}  // namespace atrous::kernels
