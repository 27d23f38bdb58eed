// Compaction within a block that keeps the order: for sums whose order must not depend on the schedule. For
// .cu files.
#pragma once

#include "kernels/gpu/gpu.h"

namespace atrous::kernels {
inline namespace ATROUS_COMPILER {

// Writes the values of those threads of a one-dimensional block of `Threads` whose `chosen` is true to `list`
// (shared memory, Threads elements), in the order of the threads. Returns how many they are. Contains
// barriers: every thread must call it, and may read `list` at once.
template <int Threads>
__device__ inline int ordered_list(bool chosen, int32_t value, int32_t* list) {
  static_assert(Threads % 32 == 0 && Threads <= 1024);
  ATROUS_SHARED(int, per_warp, [Threads / 32]);
  const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
  const unsigned votes = __ballot_sync(~0u, chosen);
  __syncthreads();  // the previous use of per_warp and list is over
  if (lane == 0) per_warp[warp] = __popc(votes);
  __syncthreads();
  int before = 0, total = 0;
  for (int w = 0; w < Threads / 32; ++w) {
    before += w < warp ? per_warp[w] : 0;
    total += per_warp[w];
  }
  if (chosen) list[before + __popc(votes & ((1u << lane) - 1u))] = value;
  __syncthreads();
  return total;
}

}  // namespace ATROUS_COMPILER
}  // namespace atrous::kernels
