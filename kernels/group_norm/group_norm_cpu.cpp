// Group norm in f32: per-channel sums of each image, put together by group, then one per-channel pass.
#include <cmath>
#include <vector>

#include "kernels/common/channel_ops.h"
#include "kernels/group_norm/group_norm_impl.h"

namespace atrous::kernels {

void group_norm_forward_cpu(const GroupNormProblem& problem, const Tensor& x, const Tensor& gamma,
                            const Tensor& beta, const Tensor& y, const Tensor& mean, const Tensor& invstd) {
  const int64_t images = x.dim(0), channels = x.channels(), per_group = channels / problem.groups;
  const auto size = static_cast<size_t>(images * channels);
  std::vector<double> channel_mean(size), channel_m2(size);
  channel_moments(x, images, channel_mean.data(), channel_m2.data());

  const int64_t pixels_of_image = x.pixels() / images;
  const auto pixels = static_cast<double>(pixels_of_image);
  std::vector<float> wide_mean(size), scale(size), shift(size);
  for (int64_t group = 0; group < images * problem.groups; ++group) {
    const int64_t first = group * per_group;  // images * groups * per_group is images * channels: same order
    double m = 0, m2 = 0;
    for (int64_t k = first; k < first + per_group; ++k) m += channel_mean[static_cast<size_t>(k)];
    m /= static_cast<double>(per_group);
    for (int64_t k = first; k < first + per_group; ++k) {
      const double delta = channel_mean[static_cast<size_t>(k)] - m;
      m2 += channel_m2[static_cast<size_t>(k)] + pixels * delta * delta;
    }
    const double inv = 1.0 / std::sqrt(m2 / (pixels * static_cast<double>(per_group)) + problem.eps);
    mean.data<float>()[group] = static_cast<float>(m);
    invstd.data<float>()[group] = static_cast<float>(inv);
    for (int64_t k = first; k < first + per_group; ++k) {
      const auto i = static_cast<size_t>(k);
      wide_mean[i] = static_cast<float>(m);
      scale[i] = static_cast<float>(inv * static_cast<double>(gamma.data<float>()[k % channels]));
      shift[i] = beta.data<float>()[k % channels];
    }
  }
  channel_affine(x, images, wide_mean.data(), scale.data(), shift.data(), Tensor(), problem.activation, y);
}

void group_norm_backward_cpu(const GroupNormProblem& problem, const Tensor& x, const Tensor& y,
                             const Tensor& dy, const Tensor& mean, const Tensor& invstd, const Tensor& gamma,
                             const Tensor& dx, const Tensor& dgamma, const Tensor& dbeta) {
  const int64_t images = x.dim(0), channels = x.channels(), per_group = channels / problem.groups;
  const auto size = static_cast<size_t>(images * channels);
  std::vector<float> wide_mean(size);
  for (size_t i = 0; i < size; ++i) wide_mean[i] = mean.data<float>()[static_cast<int64_t>(i) / per_group];
  std::vector<double> sum_g(size), sum_gx(size);
  const ChannelActivation activation{.kind = problem.activation, .y = y};
  channel_gradient_sums(dy, activation, x, images, wide_mean.data(), sum_g.data(), sum_gx.data(), Tensor());

  const int64_t pixels_of_image = x.pixels() / images;
  const double count = static_cast<double>(pixels_of_image) * static_cast<double>(per_group);
  std::vector<float> a(size), b(size), shift(size);
  std::vector<double> total_g(static_cast<size_t>(channels)), total_gxhat(static_cast<size_t>(channels));
  for (int64_t group = 0; group < images * problem.groups; ++group) {
    const int64_t first = group * per_group;
    const auto inv = static_cast<double>(invstd.data<float>()[group]);
    double s1 = 0, s2 = 0;
    for (int64_t k = first; k < first + per_group; ++k) {
      const auto i = static_cast<size_t>(k), c = static_cast<size_t>(k % channels);
      const auto scale = static_cast<double>(gamma.data<float>()[c]);
      s1 += scale * sum_g[i];
      s2 += scale * sum_gx[i] * inv;
      total_g[c] += sum_g[i];
      total_gxhat[c] += sum_gx[i] * inv;
    }
    for (int64_t k = first; k < first + per_group; ++k) {
      const auto i = static_cast<size_t>(k);
      a[i] = static_cast<float>(inv * static_cast<double>(gamma.data<float>()[k % channels]));
      b[i] = static_cast<float>(-inv * inv * s2 / count);
      shift[i] = static_cast<float>(-inv * s1 / count);
    }
  }
  for (int64_t c = 0; c < channels; ++c) {
    dbeta.data<float>()[c] = static_cast<float>(total_g[static_cast<size_t>(c)]);
    dgamma.data<float>()[c] = static_cast<float>(total_gxhat[static_cast<size_t>(c)]);
  }
  channel_gradient_input(dy, activation, x, images, wide_mean.data(), a.data(), b.data(), shift.data(), dx);
}

}  // namespace atrous::kernels
