// Blocks of 32x32 on all threads: the lines of x that a block reads are all used while they are in the cache.
#include <algorithm>

#include "core/parallel.h"
#include "kernels/transpose/transpose_impl.h"

namespace atrous::kernels {
namespace {

constexpr int64_t block = 32;

// Blocks per chunk that are worth a task.
constexpr int64_t blocks_per_chunk = 16;

}  // namespace

void transpose_blocks(const TransposeProblem& p, const Tensor& x, const Tensor& y) {
  const int64_t down = (p.rows + block - 1) / block, across = (p.columns + block - 1) / block;
  visit_dtype(p.dtype, [&](auto tag) {
    using T = decltype(tag);
    parallel_for(p.matrices * down * across, blocks_per_chunk, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t matrix = i / (down * across);
        const int64_t top = i / across % down * block, left = i % across * block;
        const int64_t bottom = std::min(top + block, p.rows), right = std::min(left + block, p.columns);
        const T* from = x.data<T>() + matrix * p.rows * x.pixel_stride();
        T* to = y.data<T>() + matrix * p.columns * p.rows;
        for (int64_t c = left; c < right; ++c) {
          for (int64_t r = top; r < bottom; ++r) to[c * p.rows + r] = from[r * x.pixel_stride() + c];
        }
      }
    });
  });
}

}  // namespace atrous::kernels
