// Layer norm in f32: a row stays in the first-level cache while it is read two or three times.
#include <algorithm>
#include <cmath>
#include <vector>

#include "core/cpu.h"
#include "core/parallel.h"
#include "kernels/layer_norm/layer_norm_impl.h"

namespace atrous::kernels {
namespace {

constexpr int64_t lanes =
    16;  // partial sums of a row: the compiler may not reorder one sum, but keeps 16 in a vector

double total(const float* sums) {
  double t = 0;
  for (int64_t l = 0; l < lanes; ++l) t += static_cast<double>(sums[l]);
  return t;
}

// Sum of x, and (with a mean) of (x - mean)^2.
ATROUS_MULTIVERSION void row_sum(const float* __restrict x, int64_t n, float* __restrict sums) {
  int64_t c = 0;
  for (; c + lanes <= n; c += lanes) {
    for (int64_t l = 0; l < lanes; ++l) sums[l] += x[c + l];
  }
  for (int64_t l = 0; c + l < n; ++l) sums[l] += x[c + l];
}

ATROUS_MULTIVERSION void row_squares(const float* __restrict x, int64_t n, float mean,
                                     float* __restrict sums) {
  int64_t c = 0;
  for (; c + lanes <= n; c += lanes) {
    for (int64_t l = 0; l < lanes; ++l) sums[l] += (x[c + l] - mean) * (x[c + l] - mean);
  }
  for (int64_t l = 0; c + l < n; ++l) sums[l] += (x[c + l] - mean) * (x[c + l] - mean);
}

ATROUS_MULTIVERSION void row_apply(const float* x, int64_t n, float mean, float invstd, const float* gamma,
                                   const float* beta, float* y) {
#pragma GCC ivdep
  for (int64_t c = 0; c < n; ++c) y[c] = (x[c] - mean) * invstd * gamma[c] + beta[c];
}

// Sums of h and h * xhat over the row; the row's share of dgamma and dbeta.
ATROUS_MULTIVERSION void row_gradient_sums(const float* __restrict x, const float* __restrict dy, int64_t n,
                                           float mean, float invstd, const float* __restrict gamma,
                                           float* __restrict sum_h, float* __restrict sum_hxhat,
                                           float* __restrict dgamma, float* __restrict dbeta) {
  int64_t c = 0;
  for (; c + lanes <= n; c += lanes) {
    for (int64_t l = 0; l < lanes; ++l) {
      const float xhat = (x[c + l] - mean) * invstd, h = dy[c + l] * gamma[c + l];
      sum_h[l] += h;
      sum_hxhat[l] += h * xhat;
      dgamma[c + l] += dy[c + l] * xhat;
      dbeta[c + l] += dy[c + l];
    }
  }
  for (int64_t l = 0; c + l < n; ++l) {
    const float xhat = (x[c + l] - mean) * invstd, h = dy[c + l] * gamma[c + l];
    sum_h[l] += h;
    sum_hxhat[l] += h * xhat;
    dgamma[c + l] += dy[c + l] * xhat;
    dbeta[c + l] += dy[c + l];
  }
}

ATROUS_MULTIVERSION void row_gradient(const float* x, const float* dy, int64_t n, float mean, float invstd,
                                      const float* gamma, float mean_h, float mean_hxhat, float* dx) {
#pragma GCC ivdep
  for (int64_t c = 0; c < n; ++c) {
    dx[c] = invstd * (dy[c] * gamma[c] - mean_h - (x[c] - mean) * invstd * mean_hxhat);
  }
}

// Rows per block. A block sums its share of the parameter gradients in f32, so it is kept short.
int64_t rows_per_block(int64_t channels) {
  return std::clamp<int64_t>((1 << 15) / std::max<int64_t>(1, channels), 1, 64);
}

}  // namespace

void layer_norm_forward_cpu(const LayerNormProblem& problem, const Tensor& x, const Tensor& gamma,
                            const Tensor& beta, const Tensor& y, const Tensor& mean, const Tensor& invstd) {
  const int64_t channels = x.channels();
  const auto count = static_cast<double>(channels);
  parallel_for(x.pixels(), rows_per_block(channels), [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) {
      const float* row = x.data<float>() + p * x.pixel_stride();
      float sums[lanes] = {}, squares[lanes] = {};
      row_sum(row, channels, sums);
      const auto m = static_cast<float>(total(sums) / count);
      row_squares(row, channels, m, squares);
      const auto inv = static_cast<float>(1.0 / std::sqrt(total(squares) / count + problem.eps));
      row_apply(row, channels, m, inv, gamma.data<float>(), beta.data<float>(),
                y.data<float>() + p * y.pixel_stride());
      mean.data<float>()[p] = m;
      invstd.data<float>()[p] = inv;
    }
  });
}

void layer_norm_backward_cpu(const LayerNormProblem&, const Tensor& x, const Tensor& dy, const Tensor& mean,
                             const Tensor& invstd, const Tensor& gamma, const Tensor& dx,
                             const Tensor& dgamma, const Tensor& dbeta) {
  const int64_t channels = x.channels(), block_rows = rows_per_block(channels);
  const int64_t blocks = (x.pixels() + block_rows - 1) / block_rows;
  const auto count = static_cast<double>(channels);
  std::vector<float> partial(static_cast<size_t>(2 * blocks * channels), 0.0f);
  parallel_for(x.pixels(), block_rows, [&](int64_t begin, int64_t end) {
    float* block_dgamma = partial.data() + begin / block_rows * 2 * channels;
    for (int64_t p = begin; p < end; ++p) {
      const float* row = x.data<float>() + p * x.pixel_stride();
      const float* grad = dy.data<float>() + p * dy.pixel_stride();
      const float m = mean.data<float>()[p], inv = invstd.data<float>()[p];
      float sum_h[lanes] = {}, sum_hxhat[lanes] = {};
      row_gradient_sums(row, grad, channels, m, inv, gamma.data<float>(), sum_h, sum_hxhat, block_dgamma,
                        block_dgamma + channels);
      row_gradient(row, grad, channels, m, inv, gamma.data<float>(), static_cast<float>(total(sum_h) / count),
                   static_cast<float>(total(sum_hxhat) / count), dx.data<float>() + p * dx.pixel_stride());
    }
  });
  std::vector<double> sums(static_cast<size_t>(2 * channels), 0.0);
  for (size_t block = 0; block < static_cast<size_t>(blocks); ++block) {
    for (size_t i = 0; i < sums.size(); ++i) sums[i] += static_cast<double>(partial[block * sums.size() + i]);
  }
  for (int64_t c = 0; c < channels; ++c) {
    dgamma.data<float>()[c] = static_cast<float>(sums[static_cast<size_t>(c)]);
    dbeta.data<float>()[c] = static_cast<float>(sums[static_cast<size_t>(channels + c)]);
  }
}

}  // namespace atrous::kernels
