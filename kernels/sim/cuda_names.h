// CUDA's names for the host compiler. Included by kernels/gpu/gpu.h only, in simulator builds of .cu files.
//
// Like CUDA's own headers this declares names in the global namespace, some of them with two underscores.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "kernels/sim/sim.h"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)

// The same object for all threads of a block, found by the address of a tag that is unique to this
// declaration.
#define ATROUS_SHARED(type, name, ...)            \
  static char name##_tag;                         \
  typedef type name##_type __VA_ARGS__;           \
  name##_type& name = *static_cast<name##_type*>( \
      ::atrous::simulator::shared_memory(&name##_tag, sizeof(name##_type), alignof(name##_type)))
#define ATROUS_DYNAMIC_SHARED(name) \
  unsigned char* const name = static_cast<unsigned char*>(::atrous::simulator::dynamic_shared_memory())

#define threadIdx (::atrous::simulator::self->index)
#define blockIdx (::atrous::simulator::self->block_index)
#define blockDim (::atrous::simulator::self->block_dim)
#define gridDim (::atrous::simulator::self->grid_dim)
inline constexpr int warpSize = 32;

// Runs beside other lanes' memory, which the race detector must not see as this thread's accesses.
#define ATROUS_SIM_UNTRACED __attribute__((no_sanitize("thread")))

inline void __syncthreads(atrous::simulator::Site site = atrous::simulator::Site::current()) {
  atrous::simulator::sync_threads(site);
}
inline void __syncwarp(unsigned mask = ~0u,
                       atrous::simulator::Site site = atrous::simulator::Site::current()) {
  atrous::simulator::warp_collective(mask, nullptr, nullptr, true, "__syncwarp", site);
}
inline void __threadfence() {
  atrous::simulator::thread_fence();
}
inline void __threadfence_block() {
  atrous::simulator::thread_fence();
}

namespace atrous::simulator {

// One lane's part of a shuffle. `source` < 0: keep the own value.
template <class T>
struct ShuffleLane {
  T value;
  T result;
  int source;
};

template <class T>
ATROUS_SIM_UNTRACED void compute_shuffle(unsigned mask, void* const* data) {
  for (unsigned lane = 0; lane < 32; ++lane) {
    if (!(mask >> lane & 1)) continue;
    auto& own = *static_cast<ShuffleLane<T>*>(data[lane]);
    // A lane outside of the mask has no defined value: the poison shows it.
    if (own.source < 0) {
      own.result = own.value;
    } else if (mask >> own.source & 1) {
      own.result = static_cast<ShuffleLane<T>*>(data[own.source])->value;
    } else {
      poison_shared(&own.result, sizeof(T));
    }
  }
}

template <class T>
T shuffle(unsigned mask, T value, int source, const char* what, Site site) {
  ShuffleLane<T> lane{value, value, source};
  if (source >= 0 && !(mask >> source & 1))
    fail_kernel(std::string(what) + ": reads a lane outside of its mask");
  warp_collective(mask, &lane, compute_shuffle<T>, false, what, site);
  return lane.result;
}

struct VoteLane {
  bool predicate;
  unsigned ballot;
};

ATROUS_SIM_UNTRACED inline void compute_ballot(unsigned mask, void* const* data) {
  unsigned ballot = 0;
  for (unsigned lane = 0; lane < 32; ++lane) {
    if (mask >> lane & 1 && static_cast<VoteLane*>(data[lane])->predicate) ballot |= 1u << lane;
  }
  for (unsigned lane = 0; lane < 32; ++lane) {
    if (mask >> lane & 1) static_cast<VoteLane*>(data[lane])->ballot = ballot;
  }
}

inline unsigned ballot(unsigned mask, bool predicate, const char* what, Site site) {
  VoteLane lane{predicate, 0};
  warp_collective(mask, &lane, compute_ballot, false, what, site);
  return lane.ballot;
}

template <class T>
struct MatchLane {
  T value;
  unsigned same;
};

template <class T>
ATROUS_SIM_UNTRACED void compute_match(unsigned mask, void* const* data) {
  for (unsigned a = 0; a < 32; ++a) {
    if (!(mask >> a & 1)) continue;
    auto& own = *static_cast<MatchLane<T>*>(data[a]);
    own.same = 0;
    for (unsigned b = 0; b < 32; ++b) {
      if (mask >> b & 1 && static_cast<MatchLane<T>*>(data[b])->value == own.value) own.same |= 1u << b;
    }
  }
}

inline unsigned own_lane() {
  return self->lane;
}

}  // namespace atrous::simulator

template <class T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32,
              atrous::simulator::Site site = atrous::simulator::Site::current()) {
  const int lane = static_cast<int>(atrous::simulator::own_lane());
  return atrous::simulator::shuffle(mask, value, (lane & ~(width - 1)) + (source & (width - 1)),
                                    "__shfl_sync", site);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int bits, int width = 32,
                  atrous::simulator::Site site = atrous::simulator::Site::current()) {
  const int lane = static_cast<int>(atrous::simulator::own_lane());
  const int source = lane ^ bits;
  return atrous::simulator::shuffle(
      mask, value, (source & ~(width - 1)) > (lane & ~(width - 1)) ? -1 : source, "__shfl_xor_sync", site);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned distance, int width = 32,
                 atrous::simulator::Site site = atrous::simulator::Site::current()) {
  const int lane = static_cast<int>(atrous::simulator::own_lane());
  const int source = lane - static_cast<int>(distance);
  return atrous::simulator::shuffle(mask, value, source < (lane & ~(width - 1)) ? -1 : source,
                                    "__shfl_up_sync", site);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned distance, int width = 32,
                   atrous::simulator::Site site = atrous::simulator::Site::current()) {
  const int lane = static_cast<int>(atrous::simulator::own_lane());
  const int source = lane + static_cast<int>(distance);
  return atrous::simulator::shuffle(mask, value, source >= (lane & ~(width - 1)) + width ? -1 : source,
                                    "__shfl_down_sync", site);
}
inline unsigned __ballot_sync(unsigned mask, int predicate,
                              atrous::simulator::Site site = atrous::simulator::Site::current()) {
  return atrous::simulator::ballot(mask, predicate != 0, "__ballot_sync", site);
}
inline int __any_sync(unsigned mask, int predicate,
                      atrous::simulator::Site site = atrous::simulator::Site::current()) {
  return atrous::simulator::ballot(mask, predicate != 0, "__any_sync", site) != 0;
}
inline int __all_sync(unsigned mask, int predicate,
                      atrous::simulator::Site site = atrous::simulator::Site::current()) {
  return atrous::simulator::ballot(mask, predicate != 0, "__all_sync", site) == mask;
}
template <class T>
unsigned __match_any_sync(unsigned mask, T value,
                          atrous::simulator::Site site = atrous::simulator::Site::current()) {
  atrous::simulator::MatchLane<T> lane{value, 0};
  atrous::simulator::warp_collective(mask, &lane, atrous::simulator::compute_match<T>, false,
                                     "__match_any_sync", site);
  return lane.same;
}

// Atomics: relaxed, as on the GPU; order comes from __threadfence and barriers.
template <class T>
T atomicAdd(T* address, T value) {
  if constexpr (std::is_floating_point_v<T>) {
    using Bits = std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>;
    auto* bits = reinterpret_cast<Bits*>(address);
    Bits old = __atomic_load_n(bits, __ATOMIC_RELAXED);
    while (!__atomic_compare_exchange_n(bits, &old, std::bit_cast<Bits>(std::bit_cast<T>(old) + value), false,
                                        __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
    }
    return std::bit_cast<T>(old);
  } else {
    return __atomic_fetch_add(address, value, __ATOMIC_RELAXED);
  }
}
template <class T>
T atomicExch(T* address, T value) {
  return __atomic_exchange_n(address, value, __ATOMIC_RELAXED);
}
template <class T>
T atomicCAS(T* address, T expected, T value) {
  __atomic_compare_exchange_n(address, &expected, value, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
  return expected;
}
template <class T>
T atomicOr(T* address, T value) {
  return __atomic_fetch_or(address, value, __ATOMIC_RELAXED);
}
template <class T>
T atomicAnd(T* address, T value) {
  return __atomic_fetch_and(address, value, __ATOMIC_RELAXED);
}
template <class T>
T atomicMax(T* address, T value) {
  T old = __atomic_load_n(address, __ATOMIC_RELAXED);
  while (old < value &&
         !__atomic_compare_exchange_n(address, &old, value, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
  }
  return old;
}
template <class T>
T atomicMin(T* address, T value) {
  T old = __atomic_load_n(address, __ATOMIC_RELAXED);
  while (value < old &&
         !__atomic_compare_exchange_n(address, &old, value, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
  }
  return old;
}

// Arithmetic that the C library lacks.
inline float rsqrtf(float x) {
  return 1.0f / std::sqrt(x);
}
template <class T>
T __ldg(const T* address) {
  return *address;
}
inline int __popc(unsigned x) {
  return std::popcount(x);
}
inline int __ffs(int x) {
  return __builtin_ffs(x);
}
inline int __clz(int x) {
  return std::countl_zero(static_cast<unsigned>(x));
}
template <class T>
constexpr T min(T a, T b) {
  return b < a ? b : a;
}
template <class T>
constexpr T max(T a, T b) {
  return a < b ? b : a;
}
