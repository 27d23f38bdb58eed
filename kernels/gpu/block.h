// Cooperation within a warp and a block. All results are the same on every run: sums are formed in a fixed
// order.
#pragma once

#include "kernels/gpu/compiler.h"
#if !defined(__CUDACC__)
#include "kernels/sim/cuda_names.h"
#endif

namespace atrous::kernels {
inline namespace ATROUS_COMPILER {

struct Plus {
  template <class T>
  __device__ T operator()(T a, T b) const {
    return a + b;
  }
};
struct Maximum {
  template <class T>
  __device__ T operator()(T a, T b) const {
    return a < b ? b : a;
  }
};

// op over the 32 lanes of a full warp, known to all of them. T: float, double, int, unsigned.
template <class Op, class T>
__device__ inline T warp_reduce(T value, Op op = {}) {
  for (int distance = 16; distance > 0; distance /= 2)
    value = op(value, __shfl_xor_sync(~0u, value, distance));
  return value;
}

// op over all threads of a one-dimensional block whose size is a multiple of 32, known to all of them.
// `neutral` is the op's identity. Contains barriers: every thread must call it.
template <class Op, class T>
__device__ inline T block_reduce(T value, T neutral, Op op = {}) {
  ATROUS_SHARED(T, per_warp, [32]);
  const unsigned warp = threadIdx.x / 32, warps = blockDim.x / 32, lane = threadIdx.x % 32;
  value = warp_reduce<Op>(value, op);
  __syncthreads();  // the previous use of per_warp is over
  if (lane == 0) per_warp[warp] = value;
  __syncthreads();
  return warp_reduce<Op>(lane < warps ? per_warp[lane] : neutral, op);
}

// For reductions in one launch: true in every thread of the block that arrives last of `blocks` at *ticket,
// which then sees all that the others wrote before. *ticket must start at 0 and is 0 again afterwards.
// Contains barriers.
__device__ inline bool last_block_to_arrive(unsigned* ticket, unsigned blocks) {
  ATROUS_SHARED(unsigned, is_last, [1]);
  __syncthreads();  // all threads of this block have written their part
  if (threadIdx.x == 0 && threadIdx.y == 0 && threadIdx.z == 0) {
    __threadfence();
    is_last[0] = atomicAdd(ticket, 1u) == blocks - 1;
    if (is_last[0]) atomicExch(ticket, 0u);
    __threadfence();
  }
  __syncthreads();
  return is_last[0] != 0;
}

}  // namespace ATROUS_COMPILER
}  // namespace atrous::kernels
