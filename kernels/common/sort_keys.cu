// Batcher's bitonic sort: log^2 steps of independent exchanges, the same whatever the keys are. Chunks that
// fit shared memory go through all their steps there; only exchanges between chunks are separate kernels.
// For the ten thousand boxes of a detector that is a dozen launches.
#include <algorithm>

#include "kernels/common/block_sort.cuh"
#include "kernels/common/sort_keys.h"

namespace atrous::kernels::ATROUS_GPU {
namespace {

constexpr int threads = 256;
constexpr int chunk = 2048;  // keys, 16 KB

// The whole sort of each chunk, or the last steps of the merge of runs of `size`.
__global__ void __launch_bounds__(threads)
    chunk_kernel(uint64_t* keys, int length, bool whole, int64_t size) {
  ATROUS_SHARED(uint64_t, shared, [chunk]);
  const int64_t base = static_cast<int64_t>(blockIdx.x) * length;
  for (int i = static_cast<int>(threadIdx.x); i < length; i += threads) shared[i] = keys[base + i];
  if (whole) {
    bitonic_sort(shared, base, length);
  } else {
    bitonic_merge(shared, base, length, size, length / 2);
    __syncthreads();
  }
  for (int i = static_cast<int>(threadIdx.x); i < length; i += threads) keys[base + i] = shared[i];
}

__global__ void __launch_bounds__(threads)
    exchange_kernel(uint64_t* keys, int64_t pairs, int64_t size, int64_t stride) {
  const int64_t pair = int64_t{blockIdx.x} * threads + threadIdx.x;
  if (pair < pairs) bitonic_exchange(keys, 0, pair, size, stride);
}

}  // namespace

void sort_keys(const Tensor& keys) {
  const int64_t n = keys.numel();
  ATROUS_ASSERT(sorted_length(n) == n);
  auto* data = reinterpret_cast<uint64_t*>(keys.device_data<int64_t>());
  const int length = static_cast<int>(std::min<int64_t>(n, chunk));
  launch<chunk_kernel>({n / length, threads}, data, length, true, int64_t{0});
  for (int64_t size = 2 * chunk; size <= n; size *= 2) {
    for (int64_t stride = size / 2; stride >= chunk; stride /= 2)
      launch<exchange_kernel>({blocks_for(n / 2, threads), threads}, data, n / 2, size, stride);
    launch<chunk_kernel>({n / chunk, threads}, data, chunk, false, size);
  }
}

}  // namespace atrous::kernels::ATROUS_GPU
