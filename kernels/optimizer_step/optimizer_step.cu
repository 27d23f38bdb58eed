// A step of an optimiser, and the sum of squares of gradients. Parameters are dense arrays of f32.
//
//   step            p, moments <- rule(p, gradient, moments); also writes the bf16 copy of p, if there is one
//     naive         a launch per parameter, a thread per element
//     vectorised    a launch serves up to 64 parameters, listed in the kernel's arguments: small ones no
//                   longer cost a launch each. Threads move 16 bytes at a time
//
//   sum_of_squares  result = sum of x^2, in double
//     naive         a launch per tensor, whose one block walks over it
//     vectorised    blocks share all tensors in the same way; a last kernel adds their sums in order
//
// The tensors are not gathered into one array: a list of pointers saves as many launches, and moves no bytes.
#include <algorithm>

#include "kernels/gpu/gpu.h"
#include "kernels/optimizer_step/optimizer_step_impl.h"

namespace atrous::kernels {
namespace ATROUS_GPU {
namespace {

constexpr int threads = 256;
constexpr int width = vector_width<float>;
constexpr int64_t chunk = threads * width * 4;  // elements of one parameter that a block works on
constexpr int most_segments = 64;

// One parameter.
struct Segment {
  float* p;
  const float* gradient;
  float* moments[2];  // null where the rule has none
  bf16* copy;         // or null
  int64_t n;
  bool aligned;  // groups of `width` elements lie on 16-byte boundaries (copy: 8)
};
// One tensor to be read.
struct Source {
  const float* x;
  int64_t n;
  bool aligned;
};

// The segment of each block. Passed by value; CUDA takes 4 KiB of arguments.
template <class S>
struct Batch {
  int count = 0;
  int first_block[most_segments + 1] = {};
  S segments[most_segments];
};
static_assert(sizeof(Batch<Segment>) + sizeof(OptimizerCoefficients) <= 4096);

// The elements [begin, end) of a segment that belong to this block.
struct Share {
  int segment;
  int64_t begin, end;
};

template <class S>
__device__ inline Share own_share(const Batch<S>& batch) {
  const int block = static_cast<int>(blockIdx.x);
  int low = 0, high = batch.count;
  while (high - low > 1) {
    const int middle = (low + high) / 2;
    if (batch.first_block[middle] <= block)
      low = middle;
    else
      high = middle;
  }
  const int64_t begin = (block - batch.first_block[low]) * chunk;
  return {low, begin, min(begin + chunk, batch.segments[low].n)};
}

// Calls run(batch, blocks) with as few batches as it takes. Empty segments are left out.
template <class S, class Run>
void for_each_batch(const std::vector<S>& segments, Run&& run) {
  Batch<S> batch;
  const auto flush = [&] {
    if (batch.count) run(batch, batch.first_block[batch.count]);
    batch.count = 0;
  };
  for (const S& s : segments) {
    const int64_t blocks = blocks_for(s.n, chunk);
    if (!blocks) continue;
    if (batch.count == most_segments || batch.first_block[batch.count] + blocks > 0x7fffffff) flush();
    batch.segments[batch.count] = s;
    batch.first_block[batch.count + 1] = batch.first_block[batch.count] + static_cast<int>(blocks);
    ++batch.count;
  }
  flush();
}

bool is_aligned(const void* p, size_t bytes) {
  return reinterpret_cast<uintptr_t>(p) % bytes == 0;
}

Segment segment_of(const ParameterUpdate& u, int moments) {
  Segment s{};
  s.p = u.value.device_data<float>();
  s.gradient = u.gradient.device_data<float>();
  for (int i = 0; i < moments; ++i) s.moments[i] = u.moments[static_cast<size_t>(i)].device_data<float>();
  if (u.low_precision.defined()) s.copy = u.low_precision.device_data<bf16>();
  s.n = u.value.numel();
  s.aligned = is_aligned(s.p, 16) && is_aligned(s.gradient, 16) && is_aligned(s.moments[0], 16) &&
              is_aligned(s.moments[1], 16) && is_aligned(s.copy, 8);
  return s;
}

// Updates elements [i, i + N).
template <class Rule, int N>
__device__ inline void update_group(const Segment& s, int64_t i, const OptimizerCoefficients& c) {
  Vec<float, N> p = load<N>(static_cast<const float*>(s.p + i)), first{}, second{};
  const Vec<float, N> g = load<N>(s.gradient + i);
  if constexpr (Rule::moments > 0) first = load<N>(static_cast<const float*>(s.moments[0] + i));
  if constexpr (Rule::moments > 1) second = load<N>(static_cast<const float*>(s.moments[1] + i));
  ATROUS_UNROLL
  for (int k = 0; k < N; ++k) Rule::update(p[k], g[k], first[k], second[k], c);
  store<N>(s.p + i, p);
  if constexpr (Rule::moments > 0) store<N>(s.moments[0] + i, first);
  if constexpr (Rule::moments > 1) store<N>(s.moments[1] + i, second);
  if (s.copy) store_f32(s.copy + i, p);
}

template <class Rule>
__global__ void __launch_bounds__(threads) naive_step(Segment s, OptimizerCoefficients c) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * threads + threadIdx.x;
  if (i < s.n) update_group<Rule, 1>(s, i, c);
}

template <class Rule>
__global__ void __launch_bounds__(threads) vectorised_step(Batch<Segment> batch, OptimizerCoefficients c) {
  const Share own = own_share(batch);
  const Segment& s = batch.segments[own.segment];
  for (int64_t i = own.begin + threadIdx.x * width; i < own.end; i += threads * width) {
    if (s.aligned && i + width <= own.end) {
      update_group<Rule, width>(s, i, c);
    } else {
      for (int64_t k = i; k < min(i + width, own.end); ++k) update_group<Rule, 1>(s, k, c);
    }
  }
}

__global__ void __launch_bounds__(threads) naive_squares(const float* x, int64_t n, double* result) {
  double sum = 0;
  for (int64_t i = threadIdx.x; i < n; i += threads) sum += static_cast<double>(x[i]) * x[i];
  sum = block_reduce<Plus>(sum, 0.0);
  if (threadIdx.x == 0) *result += sum;
}

__global__ void __launch_bounds__(threads) partial_squares(Batch<Source> batch, double* partial) {
  const Share own = own_share(batch);
  const Source& s = batch.segments[own.segment];
  double sum = 0;
  for (int64_t i = own.begin + threadIdx.x * width; i < own.end; i += threads * width) {
    if (s.aligned && i + width <= own.end) {
      const Vec<float, width> v = load<width>(s.x + i);
      ATROUS_UNROLL
      for (int k = 0; k < width; ++k) sum += static_cast<double>(v[k]) * v[k];
    } else {
      for (int64_t k = i; k < min(i + width, own.end); ++k) sum += static_cast<double>(s.x[k]) * s.x[k];
    }
  }
  sum = block_reduce<Plus>(sum, 0.0);
  if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

__global__ void __launch_bounds__(threads)
    finish_squares(const double* partial, int64_t blocks, double* result) {
  double sum = 0;
  for (int64_t b = threadIdx.x; b < blocks; b += threads) sum += partial[b];
  sum = block_reduce<Plus>(sum, 0.0);
  if (threadIdx.x == 0) *result = sum;
}

}  // namespace

void optimizer_step_naive(const OptimizerProblem& problem, const std::vector<ParameterUpdate>& parameters) {
  visit_rule(problem.rule, [&]<class Rule>(Rule) {
    for (const ParameterUpdate& u : parameters) {
      const Segment s = segment_of(u, Rule::moments);
      launch<naive_step<Rule>>({blocks_for(s.n, threads), threads}, s, problem.coefficients);
    }
  });
}

void optimizer_step_vectorised(const OptimizerProblem& problem,
                               const std::vector<ParameterUpdate>& parameters) {
  std::vector<Segment> segments;
  for (const ParameterUpdate& u : parameters) segments.push_back(segment_of(u, moments_of(problem.rule)));
  visit_rule(problem.rule, [&]<class Rule>(Rule) {
    for_each_batch(segments, [&](const Batch<Segment>& batch, int blocks) {
      launch<vectorised_step<Rule>>({blocks, threads}, batch, problem.coefficients);
    });
  });
}

void sum_of_squares_naive(const SumOfSquaresProblem&, const std::vector<Tensor>& tensors,
                          const Tensor& result) {
  result.fill(0);
  for (const Tensor& t : tensors) {
    launch<naive_squares>({t.numel() ? 1 : 0, threads}, static_cast<const float*>(t.device_data<float>()),
                          t.numel(), result.device_data<double>());
  }
}

void sum_of_squares_vectorised(const SumOfSquaresProblem&, const std::vector<Tensor>& tensors,
                               const Tensor& result) {
  std::vector<Source> sources;
  int64_t blocks = 0;
  for (const Tensor& t : tensors) {
    const float* x = t.device_data<float>();
    sources.push_back({x, t.numel(), is_aligned(x, 16)});
    blocks += blocks_for(t.numel(), chunk);
  }
  const Tensor partial = Tensor::empty({std::max<int64_t>(blocks, 1)}, DType::f64, result.device());
  double* next = partial.device_data<double>();
  for_each_batch(sources, [&](const Batch<Source>& batch, int count) {
    launch<partial_squares>({count, threads}, batch, next);
    next += count;
  });
  launch<finish_squares>({1, threads}, static_cast<const double*>(partial.device_data<double>()), blocks,
                         result.device_data<double>());
}

}  // namespace ATROUS_GPU
}  // namespace atrous::kernels
