// Group norm on a GPU:  y = act((x - mean) * invstd * gamma + beta), statistics per image over the pixels of
// C/G neighbouring channels.
//
// x is [N][pixels][C]. A group's C/G channels lie together in each pixel, often fewer bytes than the 32 that
// memory moves at least, so working group by group reads the same lines several times.
//
// The ladder:
//   naive     a block per image and group walks over its values: three reads forward (mean, deviations,
//             output), C/G channels at a time; two for the gradient of x, one more for gamma and beta
//   channels  sums per image and channel, whole pixels at a time (common/channel_sums.cuh), put together by
//             group in a tiny kernel, then one pass with parameters per channel (common/channel_maps.cuh):
//             two reads of each tensor in 16-byte accesses, whatever the groups
#include <cmath>

#include "kernels/common/channel_maps.cuh"
#include "kernels/common/channel_sums.cuh"
#include "kernels/group_norm/group_norm_impl.h"

namespace atrous::kernels::ATROUS_GPU {
namespace {

constexpr int threads = 256;

// The groups of a tensor. group counts through images and their groups.
struct Groups {
  int64_t images, pixels;  // per image
  int channels, groups, per_group;

  explicit Groups(const GroupNormProblem& problem)
      : images(problem.shape[0]),
        pixels(problem.shape.numel() / images / problem.shape[-1]),
        channels(static_cast<int>(problem.shape[-1])),
        groups(static_cast<int>(problem.groups)),
        per_group(channels / groups) {}

  ATROUS_HD int64_t count() const { return images * groups; }
  // Values in a group.
  ATROUS_HD int64_t size() const { return pixels * per_group; }
  ATROUS_HD int64_t group(int64_t image, int channel) const { return image * groups + channel / per_group; }

  // f(pixel, channel) for the group's values that are this thread's share.
  template <class F>
  __device__ void each(int64_t group, F&& f) const {
    const int first = static_cast<int>(group % groups) * per_group;
    for (int64_t i = threadIdx.x; i < size(); i += threads)
      f(group / groups * pixels + i / per_group, first + static_cast<int>(i % per_group));
  }
};

// ---- naive ----

template <class T>
__global__ __launch_bounds__(threads) void forward_naive(Groups groups, Pixels<const T> x, const float* gamma,
                                                         const float* beta, double eps, Activation activation,
                                                         Pixels<T> y, float* mean, float* invstd) {
  const int64_t group = blockIdx.x;
  const auto count = static_cast<float>(groups.size());
  float sum = 0, rest = 0, squares = 0;
  groups.each(group, [&](int64_t p, int c) { sum += static_cast<float>(x.at(p)[c]); });
  const float rough = block_reduce<Plus>(sum, 0.0f) / count;
  // The deviations also give the error of the mean.
  groups.each(group, [&](int64_t p, int c) {
    const float d = static_cast<float>(x.at(p)[c]) - rough;
    rest += d;
    squares += d * d;
  });
  rest = block_reduce<Plus>(rest, 0.0f);
  squares = block_reduce<Plus>(squares, 0.0f);
  const float m = rough + rest / count;
  const double variance = static_cast<double>(squares - rest * rest / count) / static_cast<double>(count);
  const auto inv = static_cast<float>(1 / std::sqrt(variance + eps));
  groups.each(group, [&](int64_t p, int c) {
    const float v = (static_cast<float>(x.at(p)[c]) - m) * inv * gamma[c] + beta[c];
    y.at(p)[c] = static_cast<T>(activate(activation, v));
  });
  if (threadIdx.x == 0) {
    mean[group] = m;
    invstd[group] = inv;
  }
}

template <class T>
struct Backward {
  Groups groups;
  Pixels<const T> x, y, dy;
  const float *mean, *invstd, *gamma;
  Activation activation;

  __device__ float g(int64_t p, int c) const {
    const auto v = static_cast<float>(dy.at(p)[c]);
    if (activation == Activation::none) return v;
    return activation_gradient(activation, static_cast<float>(y.at(p)[c]), v);
  }
  __device__ float xhat(int64_t p, int c, int64_t group) const {
    return (static_cast<float>(x.at(p)[c]) - mean[group]) * invstd[group];
  }
};

template <class T>
__global__ __launch_bounds__(threads) void backward_input_naive(Backward<T> b, Pixels<T> dx) {
  const int64_t group = blockIdx.x;
  const auto count = static_cast<float>(b.groups.size());
  float s1 = 0, s2 = 0;
  b.groups.each(group, [&](int64_t p, int c) {
    const float h = b.gamma[c] * b.g(p, c);
    s1 += h;
    s2 += h * b.xhat(p, c, group);
  });
  s1 = block_reduce<Plus>(s1, 0.0f) / count;
  s2 = block_reduce<Plus>(s2, 0.0f) / count;
  b.groups.each(group, [&](int64_t p, int c) {
    const float h = b.gamma[c] * b.g(p, c) - s1 - b.xhat(p, c, group) * s2;
    dx.at(p)[c] = static_cast<T>(b.invstd[group] * h);
  });
}

template <class T>
__global__ __launch_bounds__(threads) void backward_parameters_naive(Backward<T> b, float* dgamma,
                                                                     float* dbeta) {
  const int c = static_cast<int>(blockIdx.x);
  float sum_g = 0, sum_gxhat = 0;
  for (int64_t p = threadIdx.x; p < b.groups.images * b.groups.pixels; p += threads) {
    const float g = b.g(p, c);
    sum_g += g;
    sum_gxhat += g * b.xhat(p, c, b.groups.group(p / b.groups.pixels, c));
  }
  sum_g = block_reduce<Plus>(sum_g, 0.0f);
  sum_gxhat = block_reduce<Plus>(sum_gxhat, 0.0f);
  if (threadIdx.x != 0) return;
  dbeta[c] = sum_g;
  dgamma[c] = sum_gxhat;
}

// ---- channels: arguments of the shared passes, and the tiny kernels between them ----

// Sums per image and channel, as they are.
template <class Sum>
struct WriteSums {
  Sum* sums;
  int channels;
  __device__ void operator()(int64_t image, int channel, const Sum& sum) const {
    sums[image * channels + channel] = sum;
  }
};

// Mean and invstd of a group from the moments of its channels, which are relative to their origins.
template <class T>
__global__ __launch_bounds__(threads) void merge_groups(Groups groups, const Moments* channel_moments,
                                                        Origin<T> origin, double eps, float* mean,
                                                        float* invstd) {
  const int64_t group = static_cast<int64_t>(blockIdx.x) * threads + threadIdx.x;
  if (group >= groups.count()) return;
  const int64_t image = group / groups.groups;
  const int first = static_cast<int>(group % groups.groups) * groups.per_group;
  const float base = origin.at(image, first);
  Moments all{};
  for (int c = first; c < first + groups.per_group; ++c) {
    Moments m = channel_moments[image * groups.channels + c];
    m.mean += origin.at(image, c) - base;
    all.merge(m);
  }
  mean[group] = base + all.mean;
  invstd[group] =
      static_cast<float>(1 / std::sqrt(static_cast<double>(all.m2) / static_cast<double>(all.count) + eps));
}

struct GroupMean {
  Groups groups;
  const float* mean;
  __device__ float at(int64_t image, int channel) const { return mean[groups.group(image, channel)]; }
};

struct ForwardParameters {
  Groups groups;
  const float *mean, *invstd, *gamma, *beta;
  __device__ Affine at(int64_t image, int c) const {
    const int64_t group = groups.group(image, c);
    return {mean[group], invstd[group] * gamma[c], beta[c]};
  }
};

// Per group the sums of gamma*g and of gamma*g*xhat, formed as in GradientSums.
__global__ __launch_bounds__(threads) void merge_group_gradients(Groups groups, const GradientSums* sums,
                                                                 const float* gamma, const float* invstd,
                                                                 GradientSums* result) {
  const int64_t group = static_cast<int64_t>(blockIdx.x) * threads + threadIdx.x;
  if (group >= groups.count()) return;
  const int64_t image = group / groups.groups;
  const int first = static_cast<int>(group % groups.groups) * groups.per_group;
  GradientSums all{};
  for (int c = first; c < first + groups.per_group; ++c) {
    const GradientSums& s = sums[image * groups.channels + c];
    all.merge({gamma[c] * s.g, gamma[c] * s.gx * invstd[group]});
  }
  result[group] = all;
}

__global__ __launch_bounds__(threads) void merge_parameter_gradients(Groups groups, const GradientSums* sums,
                                                                     const float* invstd, float* dgamma,
                                                                     float* dbeta) {
  const int c = static_cast<int>(blockIdx.x * threads + threadIdx.x);
  if (c >= groups.channels) return;
  GradientSums all{};
  for (int64_t image = 0; image < groups.images; ++image) {
    const GradientSums& s = sums[image * groups.channels + c];
    all.merge({s.g, s.gx * invstd[groups.group(image, c)]});
  }
  dbeta[c] = all.g;
  dgamma[c] = all.gx;
}

// dx = invstd * (gamma g - s1/K - xhat s2/K), constants taken together.
struct BackwardParameters {
  Groups groups;
  const float *mean, *invstd, *gamma;
  const GradientSums* sums;
  __device__ GradientAffine at(int64_t image, int c) const {
    const int64_t group = groups.group(image, c);
    const float inv = invstd[group], count = static_cast<float>(groups.size());
    return {mean[group], inv * gamma[c], -inv * inv * (sums[group].gx / count),
            -inv * (sums[group].g / count)};
  }
};

const float* floats(const Tensor& t) {
  return t.device_data<float>();
}

// One Sum per element of [rows, columns]; the tensor owns them.
template <class Sum>
Tensor empty_sums(int64_t rows, int64_t columns, Device device) {
  return Tensor::empty({rows, columns, sizeof(Sum) / sizeof(float)}, DType::f32, device);
}
template <class Sum>
Sum* sums_in(const Tensor& t) {
  return reinterpret_cast<Sum*>(t.device_raw());
}

LaunchShape thread_each(int64_t n) {
  return {blocks_for(n, threads), threads};
}

}  // namespace

void group_norm_forward_naive(const GroupNormProblem& problem, const Tensor& x, const Tensor& gamma,
                              const Tensor& beta, const Tensor& y, const Tensor& mean, const Tensor& invstd) {
  const Groups groups(problem);
  visit_activation(x.dtype(), [&](auto tag) {
    using T = decltype(tag);
    launch<forward_naive<T>>({groups.count(), threads}, groups, pixels_of<const T>(x), floats(gamma),
                             floats(beta), problem.eps, problem.activation, pixels_of<T>(y),
                             mean.device_data<float>(), invstd.device_data<float>());
  });
}

void group_norm_forward_channels(const GroupNormProblem& problem, const Tensor& x, const Tensor& gamma,
                                 const Tensor& beta, const Tensor& y, const Tensor& mean,
                                 const Tensor& invstd) {
  const Groups groups(problem);
  const Tensor moments = empty_sums<Moments>(groups.images, groups.channels, x.device());
  Moments* const sums = sums_in<Moments>(moments);
  visit_groups(x.dtype(), true, {x, y}, [&](auto tag, auto width) {
    using T = decltype(tag);
    constexpr int W = decltype(width)::value;
    const Origin<T> input{pixels_of<const T>(x), groups.pixels};
    launch_channel_sums<MomentsWalk<T, W>, W>(x, groups.images, input,
                                              WriteSums<Moments>{sums, groups.channels});
    launch<merge_groups<T>>(thread_each(groups.count()), groups, static_cast<const Moments*>(sums), input,
                            problem.eps, mean.device_data<float>(), invstd.device_data<float>());
    launch_channel_map<AffineWalk, T, W>(
        x, groups.images, {input.x, {}, pixels_of<T>(y), problem.activation},
        ForwardParameters{groups, floats(mean), floats(invstd), floats(gamma), floats(beta)});
  });
}

void group_norm_backward_naive(const GroupNormProblem& problem, const Tensor& x, const Tensor& y,
                               const Tensor& dy, const Tensor& mean, const Tensor& invstd,
                               const Tensor& gamma, const Tensor& dx, const Tensor& dgamma,
                               const Tensor& dbeta) {
  const Groups groups(problem);
  visit_activation(x.dtype(), [&](auto tag) {
    using T = decltype(tag);
    const Backward<T> b{groups,       pixels_of<const T>(x), pixels_of<const T>(y), pixels_of<const T>(dy),
                        floats(mean), floats(invstd),        floats(gamma),         problem.activation};
    launch<backward_input_naive<T>>({groups.count(), threads}, b, pixels_of<T>(dx));
    launch<backward_parameters_naive<T>>({groups.channels, threads}, b, dgamma.device_data<float>(),
                                         dbeta.device_data<float>());
  });
}

void group_norm_backward_channels(const GroupNormProblem& problem, const Tensor& x, const Tensor& y,
                                  const Tensor& dy, const Tensor& mean, const Tensor& invstd,
                                  const Tensor& gamma, const Tensor& dx, const Tensor& dgamma,
                                  const Tensor& dbeta) {
  const Groups groups(problem);
  const Tensor read_y = problem.activation != Activation::none ? y : Tensor();
  const Tensor of_channels = empty_sums<GradientSums>(groups.images, groups.channels, x.device());
  const Tensor of_groups = empty_sums<GradientSums>(groups.images, groups.groups, x.device());
  GradientSums* const sums = sums_in<GradientSums>(of_channels);
  GradientSums* const group_sums = sums_in<GradientSums>(of_groups);
  visit_groups(x.dtype(), true, {x, read_y, dy, dx}, [&](auto tag, auto width) {
    using T = decltype(tag);
    constexpr int W = decltype(width)::value;
    const auto in = pixels_of<const T>(x), out = pixels_of<const T>(read_y),
               gradient = pixels_of<const T>(dy);
    launch_channel_sums<GradientWalk<T, W, GroupMean>, W>(
        x, groups.images, {in, out, gradient, {}, problem.activation, GroupMean{groups, floats(mean)}},
        WriteSums<GradientSums>{sums, groups.channels});
    launch<merge_group_gradients>(thread_each(groups.count()), groups, static_cast<const GradientSums*>(sums),
                                  floats(gamma), floats(invstd), group_sums);
    launch<merge_parameter_gradients>(thread_each(groups.channels), groups,
                                      static_cast<const GradientSums*>(sums), floats(invstd),
                                      dgamma.device_data<float>(), dbeta.device_data<float>());
    launch_channel_map<GradientAffineWalk, T, W>(
        x, groups.images, {in, out, gradient, pixels_of<T>(dx), problem.activation},
        BackwardParameters{groups, floats(mean), floats(invstd), floats(gamma), group_sums});
  });
}

}  // namespace atrous::kernels::ATROUS_GPU
