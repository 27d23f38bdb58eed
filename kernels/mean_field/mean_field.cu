// A mean-field update:  q = softmax(log_unary - sum_m C_m(v_m)) per pixel; v_m is read or sliced from a
// lattice. Rows of classes, the classes of a pixel dense.
//
// The ladder:
//   naive  a thread per pixel; its sums are kept in q. Reads rows of classes one by one
//   warps  a warp per pixel: its lanes read a row at once, their sums stay in registers. Up to 128 classes
#include <limits>

#include "kernels/gpu/gpu.h"
#include "kernels/lattice_filter/lattice_filter.h"
#include "kernels/mean_field/mean_field_impl.h"

namespace atrous::kernels::mean_field_impl::ATROUS_GPU {
namespace {

constexpr int threads = 128;

// A MeanFieldTerm as passed to a kernel.
struct Term {
  Pixels<const float> rows;         // filtered values of points, or of vertices
  const int32_t* vertex = nullptr;  // null: filtered
  const float* weight = nullptr;
  int corners = 0;
  float alpha = 1;
  const float* compatibility = nullptr;
  int compatibilities = 1;  // 1, channels or channels^2

  Term() = default;
  explicit Term(const MeanFieldTerm& t)
      : compatibility(t.compatibility.device_data<float>()),
        compatibilities(static_cast<int>(t.compatibility.numel())) {
    if (t.filtered.defined()) {
      rows = pixels_of<const float>(t.filtered);
      return;
    }
    rows = pixels_of<const float>(t.vertex_values);
    vertex = t.lattice.vertex.device_data<int32_t>();
    weight = t.lattice.weight.device_data<float>();
    corners = static_cast<int>(t.lattice.dims) + 1;
    alpha = static_cast<float>(lattice_alpha(t.lattice.dims));
  }

  // v of a class.
  __device__ float value(int64_t pixel, int c) const {
    if (!vertex) return rows.at(pixel)[c];
    float sum = 0;
    for (int64_t k = pixel * corners; k < (pixel + 1) * corners; ++k)
      sum += weight[k] * rows.at(vertex[k])[c];
    return alpha * sum;
  }
};

struct Terms {
  Term term[mean_field_most_terms];
  int count = 0;
  explicit Terms(const std::vector<MeanFieldTerm>& terms) {
    for (const MeanFieldTerm& t : terms) term[count++] = Term(t);
  }
};

__global__ void __launch_bounds__(threads)
    update_naive_kernel(Terms terms, Pixels<const float> log_unary, float* q, int64_t points, int channels) {
  const int64_t pixel = static_cast<int64_t>(blockIdx.x) * threads + threadIdx.x;
  if (pixel >= points) return;
  float* z = q + pixel * channels;
  for (int c = 0; c < channels; ++c) z[c] = log_unary.at(pixel)[c];
  for (int m = 0; m < terms.count; ++m) {
    const Term& term = terms.term[m];
    for (int c = 0; c < channels; ++c) {
      const float v = term.value(pixel, c);
      if (term.compatibilities <= channels) {
        z[c] -= term.compatibility[term.compatibilities == 1 ? 0 : c] * v;
        continue;
      }
      for (int i = 0; i < channels; ++i) z[i] -= term.compatibility[i * channels + c] * v;
    }
  }
  float max = z[0], sum = 0;
  for (int c = 1; c < channels; ++c) max = Maximum{}(max, z[c]);
  for (int c = 0; c < channels; ++c) sum += z[c] = std::exp(z[c] - max);
  for (int c = 0; c < channels; ++c) z[c] *= 1 / sum;
}

// Lane l has the classes l, l + 32, ...
template <int per_lane>
__global__ void __launch_bounds__(threads)
    update_warps_kernel(Terms terms, Pixels<const float> log_unary, float* q, int64_t points, int channels) {
  const int64_t pixel = (static_cast<int64_t>(blockIdx.x) * threads + threadIdx.x) / 32;
  if (pixel >= points) return;  // all lanes of a warp
  const int lane = static_cast<int>(threadIdx.x % 32);
  constexpr float none = -std::numeric_limits<float>::infinity();
  float z[per_lane], max = none, sum = 0;
  ATROUS_UNROLL
  for (int i = 0; i < per_lane; ++i) {
    const int c = lane + 32 * i;
    z[i] = c < channels ? log_unary.at(pixel)[c] : none;
  }
  for (int m = 0; m < terms.count; ++m) {
    const Term& term = terms.term[m];
    float v[per_lane];
    ATROUS_UNROLL
    for (int i = 0; i < per_lane; ++i) {
      const int c = lane + 32 * i;
      v[i] = c < channels ? term.value(pixel, c) : 0;
      if (c < channels && term.compatibilities <= channels)
        z[i] -= term.compatibility[term.compatibilities == 1 ? 0 : c] * v[i];
    }
    if (term.compatibilities <= channels) continue;
    ATROUS_UNROLL
    for (int j = 0; j < per_lane; ++j) {
      for (int from = 0; from < 32 && 32 * j + from < channels; ++from) {
        const float other = __shfl_sync(~0u, v[j], from);
        ATROUS_UNROLL
        for (int i = 0; i < per_lane; ++i) {
          const int c = lane + 32 * i;
          if (c < channels) z[i] -= term.compatibility[c * channels + 32 * j + from] * other;
        }
      }
    }
  }
  ATROUS_UNROLL
  for (int i = 0; i < per_lane; ++i) max = Maximum{}(max, z[i]);
  max = warp_reduce<Maximum>(max);
  ATROUS_UNROLL
  for (int i = 0; i < per_lane; ++i) sum += z[i] = std::exp(z[i] - max);
  sum = warp_reduce<Plus>(sum);
  ATROUS_UNROLL
  for (int i = 0; i < per_lane; ++i) {
    const int c = lane + 32 * i;
    if (c < channels) q[pixel * channels + c] = z[i] * (1 / sum);
  }
}

__global__ void clear(int32_t* value, int32_t to) {
  *value = to;
}

// The smallest index does not depend on the order of threads.
__global__ void __launch_bounds__(threads)
    unary_naive_kernel(Pixels<const float> p, float* log_unary, int32_t* first_bad, int64_t points,
                       int channels) {
  const int64_t pixel = static_cast<int64_t>(blockIdx.x) * threads + threadIdx.x;
  if (pixel >= points) return;
  float sum = 0;
  bool good = true;
  for (int c = 0; c < channels; ++c) {
    const float x = p.at(pixel)[c];
    good = good && x >= 0;  // false for NaN
    sum += x;
    log_unary[pixel * channels + c] = std::log(Maximum{}(static_cast<float>(least_probability), x));
  }
  if (!good || !(std::abs(sum - 1) <= static_cast<float>(probability_sum_tolerance)))
    atomicMin(first_bad, static_cast<int32_t>(pixel));
}

}  // namespace

void update_naive(const MeanFieldProblem& p, const Tensor& log_unary, const std::vector<MeanFieldTerm>& terms,
                  const Tensor& q) {
  launch<update_naive_kernel>({blocks_for(p.points, threads), threads}, Terms(terms),
                              pixels_of<const float>(log_unary), q.device_data<float>(), p.points,
                              static_cast<int>(p.channels));
}

void update_warps(const MeanFieldProblem& p, const Tensor& log_unary, const std::vector<MeanFieldTerm>& terms,
                  const Tensor& q) {
  const auto run = [&]<int per_lane>(std::integral_constant<int, per_lane>) {
    launch<update_warps_kernel<per_lane>>({blocks_for(p.points, threads / 32), threads}, Terms(terms),
                                          pixels_of<const float>(log_unary), q.device_data<float>(), p.points,
                                          static_cast<int>(p.channels));
  };
  if (p.channels <= 32) return run(std::integral_constant<int, 1>());
  if (p.channels <= 64) return run(std::integral_constant<int, 2>());
  run(std::integral_constant<int, 4>());
}

void unary_naive(const MeanFieldProblem& p, const Tensor& probabilities, const Tensor& log_unary,
                 const Tensor& first_bad) {
  launch<clear>({1, 1}, first_bad.device_data<int32_t>(), static_cast<int32_t>(p.points));
  launch<unary_naive_kernel>({blocks_for(p.points, threads), threads}, pixels_of<const float>(probabilities),
                             log_unary.device_data<float>(), first_bad.device_data<int32_t>(), p.points,
                             static_cast<int>(p.channels));
}

}  // namespace atrous::kernels::mean_field_impl::ATROUS_GPU
