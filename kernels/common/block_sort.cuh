// A block sorts keys in shared memory, and adds up counts over its threads.
#pragma once

#include "kernels/gpu/gpu.h"

namespace atrous::kernels::ATROUS_GPU {

// Exchanges a pair of Batcher's bitonic network: runs of `size` keys rise and fall in turns. `pair` counts
// the pairs of the step; `base` is the number of the first of `keys` among all keys.
__device__ inline void bitonic_exchange(uint64_t* keys, int64_t base, int64_t pair, int64_t size,
                                        int64_t stride) {
  const int64_t low = 2 * pair - (pair & (stride - 1)), high = low + stride;
  const bool rising = ((base + low) & size) == 0;
  const uint64_t a = keys[low], b = keys[high];
  if ((a > b) != rising) return;
  keys[low] = b;
  keys[high] = a;
}

// The steps of `stride` and below of the merge of runs of `size`, on `length` keys in shared memory. Contains
// barriers, one of them first.
__device__ inline void bitonic_merge(uint64_t* keys, int64_t base, int length, int64_t size, int stride) {
  for (; stride > 0; stride /= 2) {
    __syncthreads();
    for (int pair = static_cast<int>(threadIdx.x); pair < length / 2; pair += static_cast<int>(blockDim.x))
      bitonic_exchange(keys, base, pair, size, stride);
  }
}

// Sorts `length` keys, a power of two, in shared memory. Contains barriers, one of them last. Rising, unless
// `base` has the bit `length`: then this is the falling half of a larger sort.
__device__ inline void bitonic_sort(uint64_t* keys, int64_t base, int length) {
  for (int size = 2; size <= length; size *= 2) bitonic_merge(keys, base, length, size, size / 2);
  __syncthreads();
}

// The sum of `value` over the threads before this one; `total` becomes that over all. For one-dimensional
// blocks of whole warps. Contains barriers.
__device__ inline int exclusive_sum(int value, int& total) {
  ATROUS_SHARED(int, per_warp, [32]);
  const int lane = static_cast<int>(threadIdx.x % 32), warp = static_cast<int>(threadIdx.x / 32);
  int sum = value;
  for (int distance = 1; distance < 32; distance *= 2) {
    const int before = __shfl_up_sync(~0u, sum, static_cast<unsigned>(distance));
    if (lane >= distance) sum += before;
  }
  __syncthreads();  // the previous use of per_warp is over
  if (lane == 31) per_warp[warp] = sum;
  __syncthreads();
  int before = 0;
  total = 0;
  for (int w = 0; w < static_cast<int>(blockDim.x / 32); ++w) {
    before += w < warp ? per_warp[w] : 0;
    total += per_warp[w];
  }
  return before + sum - value;
}

}  // namespace atrous::kernels::ATROUS_GPU
