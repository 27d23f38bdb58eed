// Asynchronous copies into shared memory and named barriers: PTX on a GPU, adversarial timing on the
// simulator.
//
//   cp_async<16>(shared, global, valid)   starts a copy of 4, 8 or 16 bytes; not valid: zeros are written
//                                         and global, aligned all the same, is not read
//   cp_async_commit()                     closes a group of copies
//   cp_async_wait<n>()                    waits until at most the n newest groups are unfinished
//
// A copy is visible to the thread that issued it after the wait, to the others after a barrier that follows
// the wait. The simulator carries out each copy at once or at the last legal moment, by a coin, and keeps the
// destination poisoned until then.
#pragma once

#include <cstdint>

#include "kernels/gpu/compiler.h"
#if !defined(__CUDACC__)
#include "kernels/sim/cuda_names.h"
#endif

namespace atrous::kernels {
inline namespace ATROUS_COMPILER {

#if defined(__CUDACC__)

template <int Bytes>
__device__ inline void cp_async(void* shared, const void* global, bool valid = true) {
  static_assert(Bytes == 4 || Bytes == 8 || Bytes == 16);
  const auto to = static_cast<unsigned>(__cvta_generic_to_shared(shared));
  const int from_bytes = valid ? Bytes : 0;
  if constexpr (Bytes == 16) {  // .cg: past the L1 cache, which other blocks' data needs more
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(global), "r"(from_bytes)
                 : "memory");
  } else {
    asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(to), "l"(global), "n"(Bytes),
                 "r"(from_bytes)
                 : "memory");
  }
}
__device__ inline void cp_async_commit() {
  asm volatile("cp.async.commit_group;" ::: "memory");
}
template <int Pending>
__device__ inline void cp_async_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(Pending) : "memory");
}

// Barrier 1..15 among `threads` threads (a multiple of 32) of the block.
__device__ inline void barrier_sync(int id, int threads) {
  asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory");
}
// Counts as arrived, does not wait.
__device__ inline void barrier_arrive(int id, int threads) {
  asm volatile("bar.arrive %0, %1;" ::"r"(id), "r"(threads) : "memory");
}

#else

// In this translation unit, so that the race detector sees the copy as accesses of the issuing thread.
inline void perform_async_copy(const simulator::AsyncCopy& copy) {
  auto* to = static_cast<uint32_t*>(copy.to);
  const auto* from = static_cast<const uint32_t*>(copy.from);
  for (unsigned i = 0; i < copy.bytes / 4; ++i) to[i] = i < copy.from_bytes / 4 ? from[i] : 0;
}

template <int Bytes>
inline void cp_async(void* shared, const void* global, bool valid = true) {
  static_assert(Bytes == 4 || Bytes == 8 || Bytes == 16);
  if (!simulator::is_shared(shared, Bytes))
    simulator::fail_kernel("cp.async: the destination is not in shared memory");
  if (reinterpret_cast<uintptr_t>(shared) % Bytes || reinterpret_cast<uintptr_t>(global) % Bytes) {
    simulator::fail_kernel("misaligned access: cp.async needs addresses that are multiples of its size");
  }
  const simulator::AsyncCopy copy{shared, global, Bytes, valid ? Bytes : 0u};
  if (simulator::random_choice() & 1) return perform_async_copy(copy);
  simulator::poison_shared(shared, Bytes);
  simulator::issue_async_copy(copy);
}
inline void cp_async_commit() {
  simulator::commit_async_group();
}
template <int Pending>
inline void cp_async_wait() {
  simulator::AsyncCopy copies[16];
  while (const size_t count = simulator::take_async_copies(Pending, copies, 16)) {
    for (size_t i = 0; i < count; ++i) perform_async_copy(copies[i]);
  }
}

inline void barrier_sync(int id, int threads, simulator::Site site = simulator::Site::current()) {
  simulator::sync_named(id, static_cast<unsigned>(threads), site);
}
inline void barrier_arrive(int id, int threads, simulator::Site site = simulator::Site::current()) {
  simulator::arrive_named(id, static_cast<unsigned>(threads), site);
}

#endif

}  // namespace ATROUS_COMPILER
}  // namespace atrous::kernels
