// Sums in parallel: one f64 sum per block of fixed size, eight lanes inside a block.
#include <algorithm>
#include <vector>

#include "core/cpu.h"
#include "core/parallel.h"
#include "kernels/reduce/reduce_impl.h"

namespace atrous::kernels {
namespace {

constexpr int64_t block_elements = 1 << 15;
constexpr int64_t lanes = 8;

ATROUS_MULTIVERSION void add_row(const float* __restrict x, int64_t n, double* __restrict sums) {
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    for (int64_t l = 0; l < lanes; ++l) sums[l] += static_cast<double>(x[i + l]);
  }
  for (int64_t l = 0; i + l < n; ++l) sums[l] += static_cast<double>(x[i + l]);
}

}  // namespace

void reduce_sum_cpu(const ReduceProblem& problem, const Tensor& x, const Tensor& result) {
  const bool dense = x.contiguous();
  const int64_t count = dense ? x.numel() : x.pixels(), width = dense ? 1 : x.channels();
  const int64_t block = std::max<int64_t>(1, block_elements / std::max<int64_t>(1, width));
  std::vector<double> partial(static_cast<size_t>((count + block - 1) / block));
  parallel_for(count, block, [&](int64_t begin, int64_t end) {
    double sums[lanes] = {};
    if (dense) {
      add_row(x.data<float>() + begin, end - begin, sums);
    } else {
      for (int64_t p = begin; p < end; ++p) add_row(x.data<float>() + p * x.pixel_stride(), width, sums);
    }
    double sum = 0;
    for (double s : sums) sum += s;
    partial[static_cast<size_t>(begin / block)] = sum;
  });
  double sum = 0;
  for (double s : partial) sum += s;
  result.data<float>()[0] = static_cast<float>(sum * problem.factor);
}

}  // namespace atrous::kernels
