// Local response normalisation, one pixel at a time in scratch rows padded with zeros, so that every loop
// over channels is free of branches. The usual beta of 3/4 takes two square roots instead of a power.
#include <cmath>
#include <vector>

#include "core/cpu.h"
#include "core/parallel.h"
#include "kernels/common/pool2d.h"
#include "kernels/local_response_norm/local_response_norm_impl.h"

namespace atrous::kernels {
namespace {

ATROUS_MULTIVERSION void square(int64_t n, const float* __restrict x, float* __restrict y) {
  for (int64_t i = 0; i < n; ++i) y[i] = x[i] * x[i];
}

// y[c] = constant + factor * sum of x[c .. c + size)
ATROUS_MULTIVERSION void window_sums(int64_t n, int64_t size, const float* __restrict x, float constant,
                                     float factor, float* __restrict y) {
  for (int64_t c = 0; c < n; ++c) y[c] = x[c];
  for (int64_t i = 1; i < size; ++i) {
    for (int64_t c = 0; c < n; ++c) y[c] += x[c + i];
  }
  for (int64_t c = 0; c < n; ++c) y[c] = constant + factor * y[c];
}

// y[c] = scale[c]^-beta
ATROUS_MULTIVERSION void inverse_power_three_quarters(int64_t n, const float* __restrict scale,
                                                      float* __restrict y) {
  for (int64_t c = 0; c < n; ++c) {
    const float root = std::sqrt(scale[c]);
    y[c] = 1.f / (root * std::sqrt(root));
  }
}

void inverse_power(int64_t n, float beta, const float* scale, float* y) {
  if (beta == 0.75f) return inverse_power_three_quarters(n, scale, y);
  for (int64_t c = 0; c < n; ++c) y[c] = std::pow(scale[c], -beta);
}

ATROUS_MULTIVERSION void multiply(int64_t n, const float* __restrict a, const float* __restrict b,
                                  float* __restrict y) {
  for (int64_t i = 0; i < n; ++i) y[i] = a[i] * b[i];
}

// y = dy*x*power/scale
ATROUS_MULTIVERSION void pull_back(int64_t n, const float* __restrict dy, const float* __restrict x,
                                   const float* __restrict power, const float* __restrict scale,
                                   float* __restrict y) {
  for (int64_t i = 0; i < n; ++i) y[i] = dy[i] * x[i] * power[i] / scale[i];
}

// dx = dy*power + x*sums
ATROUS_MULTIVERSION void combine(int64_t n, const float* __restrict dy, const float* __restrict power,
                                 const float* __restrict x, const float* __restrict sums,
                                 float* __restrict dx) {
  for (int64_t i = 0; i < n; ++i) dx[i] = dy[i] * power[i] + x[i] * sums[i];
}

// Rows of scratch for one thread. `padded` is zero outside the channels and is as wide as two windows need.
struct Scratch {
  int64_t channels, size;
  std::vector<float> padded, scale, power, sums;
  Scratch(int64_t c, int64_t window)
      : channels(c), size(window), padded(at(c + window)), scale(at(c)), power(at(c)), sums(at(c)) {}
  static size_t at(int64_t i) { return static_cast<size_t>(i); }

  // scale and power of one pixel; leaves zeros at the edges of `padded`.
  void prepare(const LocalResponseNormOptions& o, const float* x) {
    std::fill(padded.begin(), padded.end(), 0.f);
    square(channels, x, padded.data() + size / 2);
    window_sums(channels, size, padded.data(), static_cast<float>(o.k),
                static_cast<float>(o.alpha / static_cast<double>(size)), scale.data());
    inverse_power(channels, static_cast<float>(o.beta), scale.data(), power.data());
  }
};

}  // namespace

void local_response_norm_forward_vector(const LocalResponseNormProblem& p, const Tensor& x, const Tensor& y) {
  const int64_t channels = x.channels();
  parallel_for(x.pixels(), rows_per_chunk(channels), [&](int64_t begin, int64_t end) {
    Scratch scratch(channels, p.options.size);
    for (int64_t i = begin; i < end; ++i) {
      const float* from = x.data<float>() + i * x.pixel_stride();
      scratch.prepare(p.options, from);
      multiply(channels, from, scratch.power.data(), y.data<float>() + i * y.pixel_stride());
    }
  });
}

void local_response_norm_backward_vector(const LocalResponseNormProblem& p, const Tensor& dy, const Tensor& x,
                                         const Tensor& dx) {
  const LocalResponseNormOptions& o = p.options;
  const int64_t channels = x.channels();
  const auto factor = static_cast<float>(-2 * o.alpha * o.beta / static_cast<double>(o.size));
  parallel_for(x.pixels(), rows_per_chunk(channels), [&](int64_t begin, int64_t end) {
    Scratch scratch(channels, o.size);
    for (int64_t i = begin; i < end; ++i) {
      const float* from = x.data<float>() + i * x.pixel_stride();
      const float* gradient = dy.data<float>() + i * dy.pixel_stride();
      scratch.prepare(o, from);
      // The windows that hold channel c are those of channels [c - (size-1)/2, c + size/2]: the mirrored
      // window.
      std::fill(scratch.padded.begin(), scratch.padded.end(), 0.f);
      pull_back(channels, gradient, from, scratch.power.data(), scratch.scale.data(),
                scratch.padded.data() + (o.size - 1) / 2);
      window_sums(channels, o.size, scratch.padded.data(), 0.f, factor, scratch.sums.data());
      combine(channels, gradient, scratch.power.data(), from, scratch.sums.data(),
              dx.data<float>() + i * dx.pixel_stride());
    }
  });
}

}  // namespace atrous::kernels
