// Dropout in f32: Philox for 256 elements at a time in a loop that vectorises, then one masked
// multiplication.
#include <algorithm>
#include <vector>

#include "core/cpu.h"
#include "core/parallel.h"
#include "kernels/dropout/dropout_impl.h"

namespace atrous::kernels {
namespace {

// Counters worked on together: few enough for the first-level cache, too many for the compiler to unroll the
// loop over them instead of vectorising it.
constexpr int lanes = 64;
constexpr int64_t batch = 4 * lanes;  // numbers they yield
constexpr int64_t elements_per_task = 1 << 15;

// Factors (0 or `keep`) of elements [first, first + batch) of the stream; first is a multiple of 4. The same
// numbers as CounterRng (core/random.cpp), with the rounds outside and the counters inside.
ATROUS_MULTIVERSION void draw_factors(RandomKey key, uint64_t first, uint32_t threshold, float keep,
                                      float* __restrict out) {
  uint32_t c0[lanes], c1[lanes], c2[lanes], c3[lanes];
  for (int l = 0; l < lanes; ++l) {
    const uint64_t counter = first / 4 + static_cast<uint64_t>(l);
    c0[l] = static_cast<uint32_t>(counter);
    c1[l] = static_cast<uint32_t>(counter >> 32);
    c2[l] = static_cast<uint32_t>(key.stream);
    c3[l] = static_cast<uint32_t>(key.stream >> 32);
  }
  auto k0 = static_cast<uint32_t>(key.seed), k1 = static_cast<uint32_t>(key.seed >> 32);
  for (int round = 0; round < 10; ++round) {
    for (int l = 0; l < lanes; ++l) {
      const uint64_t p0 = uint64_t{0xD2511F53u} * c0[l], p1 = uint64_t{0xCD9E8D57u} * c2[l];
      c0[l] = static_cast<uint32_t>(p1 >> 32) ^ c1[l] ^ k0;
      c1[l] = static_cast<uint32_t>(p1);
      c2[l] = static_cast<uint32_t>(p0 >> 32) ^ c3[l] ^ k1;
      c3[l] = static_cast<uint32_t>(p0);
    }
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  for (int l = 0; l < lanes; ++l) {
    out[4 * l] = (c0[l] >> 8) >= threshold ? keep : 0.0f;
    out[4 * l + 1] = (c1[l] >> 8) >= threshold ? keep : 0.0f;
    out[4 * l + 2] = (c2[l] >> 8) >= threshold ? keep : 0.0f;
    out[4 * l + 3] = (c3[l] >> 8) >= threshold ? keep : 0.0f;
  }
}

// Factors of elements [begin, end), any begin.
std::vector<float> factors(const DropoutProblem& problem, int64_t begin, int64_t end) {
  const uint32_t threshold = dropout_threshold(problem.p);
  const auto keep = static_cast<float>(1.0 / (1.0 - problem.p));
  const int64_t aligned = begin / 4 * 4;
  std::vector<float> result(static_cast<size_t>((end - aligned + batch - 1) / batch * batch));
  for (int64_t i = aligned; i < end; i += batch) {
    draw_factors(problem.key, static_cast<uint64_t>(i), threshold, keep, result.data() + (i - aligned));
  }
  result.erase(result.begin(), result.begin() + (begin - aligned));
  return result;
}

// A dropped NaN or Inf becomes 0, not NaN.
ATROUS_MULTIVERSION void apply_row(const float* x, const float* factor, float* y, int64_t n) {
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) y[i] = factor[i] != 0.0f ? x[i] * factor[i] : 0.0f;
}

}  // namespace

void dropout_cpu(const DropoutProblem& problem, const Tensor& x, const Tensor& y) {
  const int64_t channels = x.channels();
  if (problem.by_channel) {
    const int64_t images = x.dim(0), pixels_per_image = x.pixels() / std::max<int64_t>(1, images);
    const std::vector<float> factor = factors(problem, 0, images * channels);
    parallel_for(
        x.pixels(), std::max<int64_t>(1, elements_per_task / channels), [&](int64_t begin, int64_t end) {
          for (int64_t p = begin; p < end; ++p) {
            apply_row(x.data<float>() + p * x.pixel_stride(), factor.data() + p / pixels_per_image * channels,
                      y.data<float>() + p * y.pixel_stride(), channels);
          }
        });
    return;
  }
  parallel_for(
      x.pixels(), std::max<int64_t>(1, elements_per_task / channels), [&](int64_t begin, int64_t end) {
        const std::vector<float> factor = factors(problem, begin * channels, end * channels);
        const bool dense = x.contiguous() && y.contiguous();
        const int64_t rows = dense ? 1 : end - begin, width = dense ? (end - begin) * channels : channels;
        for (int64_t r = 0; r < rows; ++r) {
          apply_row(x.data<float>() + (begin + r) * x.pixel_stride(), factor.data() + r * channels,
                    y.data<float>() + (begin + r) * y.pixel_stride(), width);
        }
      });
}

}  // namespace atrous::kernels
