// One mistake per kernel, where `Broken` is true. Compiled for the simulator only.
//
// A line that ends in "here: <name>" is where ThreadSanitizer or AddressSanitizer must point.
#include "kernels/gpu/async.h"
#include "kernels/gpu/gpu.h"
#include "kernels/gpu/mma.h"
#include "tests/kernels/sim/broken_kernels.h"
#include "tests/kernels/sim/on_simulator.h"

namespace atrous::broken {
namespace {

using namespace kernels;
using on_simulator::Memory;

constexpr int threads = 64;

// ---- barriers and races ----

template <bool Broken>
__global__ void missing_barrier(const int* in, int* out) {
  ATROUS_SHARED(int, tile, [threads]);
  tile[threadIdx.x] = in[threadIdx.x];
  if (!Broken) __syncthreads();
  out[threadIdx.x] = tile[threads - 1 - threadIdx.x];  // here: missing_barrier
}

// The barrier before shared memory is written again is missing.
template <bool Broken>
__global__ void missing_barrier_before_reuse(const int* in, int* out) {
  ATROUS_SHARED(int, tile, [threads]);
  tile[threadIdx.x] = in[threadIdx.x];
  __syncthreads();
  const int neighbour = tile[(threadIdx.x + 1) % threads];
  if (!Broken) __syncthreads();
  tile[threadIdx.x] = 2 * neighbour;  // here: missing_barrier_before_reuse
  __syncthreads();
  out[threadIdx.x] = tile[threads - 1 - threadIdx.x];
}

// Relies on the lanes of a warp running in lockstep.
template <bool Broken>
__global__ void missing_syncwarp(const int* in, int* out) {
  ATROUS_SHARED(int, tile, [threads]);
  tile[threadIdx.x] = in[threadIdx.x];
  if (!Broken) __syncwarp();
  out[threadIdx.x] = tile[threadIdx.x ^ 1];  // here: missing_syncwarp
}

template <bool Broken>
__global__ void race_in_place(int* data) {
  const int neighbour = data[(threadIdx.x + 1) % threads];
  if (!Broken) __syncthreads();
  data[threadIdx.x] = neighbour;  // here: race_in_place
}

// Between blocks: each reads what another one writes.
template <bool Broken>
__global__ void race_between_blocks(const int* in, int* out) {
  const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
  out[i] = (Broken ? out : in)[(i + blockDim.x) % threads];  // here: race_between_blocks
}

// A thread of the simulator is not interrupted here, so that only the race detector sees it.
template <bool Broken>
__global__ void race_on_counter(int* counter) {
  if (Broken) {
    counter[0] = counter[0] + 1;  // here: race_on_counter
  } else {
    atomicAdd(counter, 1);
  }
}

// The last block sums what all blocks wrote; nothing makes those writes visible to it.
template <bool Broken>
__global__ void ticket_without_fence(const int* in, int* partial, unsigned* ticket, int* out) {
  if (threadIdx.x == 0) partial[blockIdx.x] = in[blockIdx.x];
  ATROUS_SHARED(bool, last, [1]);
  __syncthreads();
  if (threadIdx.x == 0) {
    if (!Broken) __threadfence();
    last[0] = atomicAdd(ticket, 1u) == gridDim.x - 1;
    if (!Broken) __threadfence();
  }
  __syncthreads();
  if (!last[0]) return;
  for (unsigned i = threadIdx.x; i < gridDim.x; i += blockDim.x) {
    out[i] = partial[i];  // here: ticket_without_fence
  }
}

template <bool Broken>
__global__ void barrier_after_exit(const int* in, int* out) {
  if (Broken && threadIdx.x == 5) return;
  __syncthreads();
  out[threadIdx.x] = in[threadIdx.x];
}

template <bool Broken>
__global__ void two_barriers(const int* in, int* out) {
  const int value = in[threadIdx.x];
  if (Broken && threadIdx.x < 32) {
    __syncthreads();
  } else {
    __syncthreads();
  }
  out[threadIdx.x] = value;
}

template <bool Broken>
__global__ void named_barrier_count(const int* in, int* out) {
  barrier_sync(1, Broken && threadIdx.x < 32 ? 32 : threads);
  barrier_sync(1, Broken && threadIdx.x == 0 ? 32 : threads);
  out[threadIdx.x] = in[threadIdx.x];
}

// ---- warps ----

template <bool Broken>
__global__ void lane_has_exited(const int* in, int* out) {
  if (Broken && threadIdx.x == 3) return;
  out[threadIdx.x] = __shfl_xor_sync(~0u, in[threadIdx.x], 0);
}

template <bool Broken>
__global__ void lane_outside_mask(const int* in, int* out) {
  out[threadIdx.x] = __any_sync(Broken ? ~1u : ~0u, true) ? in[threadIdx.x] : 0;
}

template <bool Broken>
__global__ void shuffle_from_outside_mask(const int* in, int* out) {
  const unsigned lane = threadIdx.x % 32, half = lane < 16 ? 0xffffu : 0xffff0000u;
  out[threadIdx.x] = __shfl_sync(half, in[threadIdx.x], static_cast<int>(Broken ? lane ^ 16 : lane));
}

template <bool Broken>
__global__ void overlapping_masks(const int* in, int* out) {
  const unsigned mask = Broken && threadIdx.x % 32 < 16 ? 0x1ffffu : ~0u;
  out[threadIdx.x] = __shfl_xor_sync(mask, in[threadIdx.x], 0);
}

template <bool Broken>
__global__ void different_collectives(const int* in, int* out) {
  int value = in[threadIdx.x];
  if (Broken && threadIdx.x % 32 < 16) {
    __ballot_sync(~0u, value);
  } else {
    value = __shfl_xor_sync(~0u, value, 0);
  }
  out[threadIdx.x] = value;
}

// ---- asynchronous copies ----

template <bool Broken>
__global__ void missing_wait(const int* in, int* out) {
  ATROUS_SHARED(int, tile, [threads]);
  cp_async<4>(&tile[threadIdx.x], &in[threadIdx.x]);
  cp_async_commit();
  if (!Broken) cp_async_wait<0>();
  out[threadIdx.x] = tile[threadIdx.x];
}

template <bool Broken>
__global__ void wrong_group_count(const int* in, int* out) {
  ATROUS_SHARED(int, tile, [2][threads]);
  for (int stage = 0; stage < 2; ++stage) {
    cp_async<4>(&tile[stage][threadIdx.x], &in[threadIdx.x]);
    cp_async_commit();
  }
  cp_async_wait<Broken ? 1 : 0>();
  out[threadIdx.x] = tile[1][threadIdx.x];
}

template <bool Broken>
__global__ void missing_barrier_after_wait(const int* in, int* out) {
  ATROUS_SHARED(int, tile, [threads]);
  cp_async<4>(&tile[threadIdx.x], &in[threadIdx.x]);
  cp_async_commit();
  cp_async_wait<0>();
  if (!Broken) __syncthreads();
  out[threadIdx.x] = tile[threads - 1 - threadIdx.x];  // here: missing_barrier_after_wait
}

// ---- memory ----

template <bool Broken, class T>
__global__ void unwritten_shared(const int* in, T* out) {
  ATROUS_SHARED(T, tile, [threads]);
  const int last = Broken ? threads - 10 : threads;
  if (static_cast<int>(threadIdx.x) < last) tile[threadIdx.x] = static_cast<T>(in[threadIdx.x]);
  __syncthreads();
  if constexpr (std::is_same_v<T, float>) {  // arithmetic quiets the poison
    out[threadIdx.x] = 2 * tile[threads - 1 - threadIdx.x] - tile[threads - 1 - threadIdx.x];
  } else {
    out[threadIdx.x] = tile[threads - 1 - threadIdx.x];
  }
}

template <bool Broken>
__global__ void shared_write_past_end(const int* in, int* out) {
  ATROUS_SHARED(int, tile, [threads]);
  int* slot = tile + threadIdx.x;
  if (Broken) ++slot;
  *slot = in[threadIdx.x];  // here: shared_write_past_end
  out[threadIdx.x] = *slot;
}

template <bool Broken>
__global__ void shared_write_before_start(const int* in, int* out) {
  ATROUS_DYNAMIC_SHARED(bytes);
  int* slot = reinterpret_cast<int*>(bytes) + threadIdx.x;
  if (Broken) --slot;
  *slot = in[threadIdx.x];  // here: shared_write_before_start
  out[threadIdx.x] = *slot;
}

template <bool Broken>
__global__ void global_read_past_end(const int* in, int* out) {
  const int* from = in + threadIdx.x;
  if (Broken && threadIdx.x == threads - 1) ++from;
  out[threadIdx.x] = *from;  // here: global_read_past_end
}

template <bool Broken>
__global__ void global_write_past_end(const int* in, int* out) {
  int* to = out + threadIdx.x;
  if (Broken) ++to;
  *to = in[threadIdx.x];  // here: global_write_past_end
}

// An index that is wrong by far.
template <bool Broken>
__global__ void global_write_far_away(const int* in, int* out) {
  int* to = out + threadIdx.x;
  if (Broken) to -= int64_t{1} << 36;
  *to = in[threadIdx.x];  // here: global_write_far_away
}

// 61 elements: behind them lie bytes that only a guard protects.
template <bool Broken>
__global__ void global_write_into_guard(const int*, int* out) {
  const int i = static_cast<int>(threadIdx.x);
  if (i < (Broken ? 62 : 61)) out[i] = i + 1;  // here: global_write_into_guard
}

template <bool Broken>
__global__ void misaligned_vector(const int* in, int* out) {
  if (threadIdx.x >= 32) return;
  const int* from = in + 2 * threadIdx.x;
  if (Broken && threadIdx.x < 31) ++from;
  store<2>(out + 2 * threadIdx.x, load<2>(from));
}

template <bool Broken>
__global__ void misaligned_ldmatrix(const int* in, int* out) {
  ATROUS_SHARED(int, rows, [36][4]);
  for (unsigned i = threadIdx.x; i < 36 * 4; i += threads) rows[i / 4][i % 4] = 0;
  __syncthreads();
  uint32_t r[4];
  ldmatrix(r, rows[threadIdx.x % 32] + (Broken ? 1 : 0));
  out[threadIdx.x] = in[threadIdx.x] + static_cast<int>(r[0]);
}

template <int Ints>
__global__ void much_static_shared(const int* in, int* out) {
  ATROUS_SHARED(int, tile, [Ints]);
  tile[threadIdx.x] = in[threadIdx.x];
  out[threadIdx.x] = tile[threadIdx.x];
}

__global__ void copy(const int* in, int* out) {
  if (threadIdx.x < threads) out[threadIdx.x] = in[threadIdx.x];
}

// ---- how they are run ----

template <class T = int>
std::vector<T> numbers(int count = threads) {
  std::vector<T> values;
  for (int i = 0; i < count; ++i) values.push_back(static_cast<T>(i + 1));
  return values;
}

template <class T>
std::string verdict(const std::vector<T>& got, const std::vector<T>& expected) {
  return got == expected ? "" : "wrong result";
}

// out[i] = in[order(i)], order being the identity unless given.
template <auto Good, auto Bad, class T = int>
std::string gather(bool broken, LaunchShape shape, int (*order)(int), int count = threads) {
  const Memory<int> in(numbers(count));
  const Memory<T> out(count);
  broken ? launch<Bad>(shape, in.data(), out.data()) : launch<Good>(shape, in.data(), out.data());
  std::vector<T> expected;
  for (int i = 0; i < count; ++i) expected.push_back(static_cast<T>(order(i) + 1));
  std::vector<T> got = out.read();
  return verdict(got, expected);
}
int same(int i) {
  return i;
}
int reversed(int i) {
  return threads - 1 - i;
}

#define ATROUS_GATHER(kernel, order) \
  [](bool broken) { return gather<kernel<false>, kernel<true>>(broken, {1, threads}, order); }

std::string run_reuse(bool broken) {
  const auto doubled = [](int i) { return 2 * ((threads - i) % threads + 1) - 1; };
  return gather<missing_barrier_before_reuse<false>, missing_barrier_before_reuse<true>>(broken, {1, threads},
                                                                                         doubled);
}

std::string run_in_place(bool broken) {
  const Memory<int> data(numbers());
  broken ? launch<race_in_place<true>>({1, threads}, data.data())
         : launch<race_in_place<false>>({1, threads}, data.data());
  std::vector<int> expected = numbers();
  std::rotate(expected.begin(), expected.begin() + 1, expected.end());
  return verdict(data.read(), expected);
}

std::string run_between_blocks(bool broken) {
  return gather<race_between_blocks<false>, race_between_blocks<true>>(
      broken, {4, threads / 4}, [](int i) { return (i + threads / 4) % threads; });
}

std::string run_counter(bool broken) {
  const Memory<int> counter(std::vector{0});
  broken ? launch<race_on_counter<true>>({1, threads}, counter.data())
         : launch<race_on_counter<false>>({1, threads}, counter.data());
  return verdict(counter.read(), {threads});
}

std::string run_ticket(bool broken) {
  const Memory<int> in(numbers(8)), partial(8), out(8);
  const Memory<unsigned> ticket(std::vector{0u});
  const auto run = [&](auto kernel) {
    launch<decltype(kernel)::value>({8, 32}, in.data(), partial.data(), ticket.data(), out.data());
  };
  broken ? run(std::integral_constant<decltype(&ticket_without_fence<true>), ticket_without_fence<true>>{})
         : run(std::integral_constant<decltype(&ticket_without_fence<true>), ticket_without_fence<false>>{});
  return verdict(out.read(), numbers(8));
}

template <class T>
std::string run_unwritten(bool broken) {
  return gather<unwritten_shared<false, T>, unwritten_shared<true, T>, T>(broken, {1, threads}, reversed);
}

std::string run_shared_before_start(bool broken) {
  return gather<shared_write_before_start<false>, shared_write_before_start<true>>(
      broken, {1, threads, threads * sizeof(int)}, same);
}

std::string run_guard(bool broken) {
  return gather<global_write_into_guard<false>, global_write_into_guard<true>>(broken, {1, threads}, same,
                                                                               61);
}

std::string run_static_shared(bool broken) {
  return gather<much_static_shared<12 << 10>, much_static_shared<(12 << 10) + 1>>(broken, {1, threads}, same);
}

std::string run_dynamic_shared(bool broken) {
  const size_t most = size_t{227} << 10;
  return gather<copy, copy>(broken, {1, threads, broken ? most + 1 : most}, same);
}

// Dynamic memory begins 1 KB behind the start, although the static variable is smaller.
std::string run_static_and_dynamic(bool broken) {
  const size_t most = size_t{226} << 10;
  return gather<much_static_shared<threads>, much_static_shared<threads>>(
      broken, {1, threads, broken ? most + 1 : most}, same);
}

std::string run_threads(bool broken) {
  return gather<copy, copy>(broken, {1, broken ? 1056 : 1024}, same);
}

// A kernel, captured and replayed; `mistake` happens during the capture.
std::string run_captured(const std::function<void()>& mistake) {
  const Memory<int> in(numbers()), out(threads);
  const Stream stream = current_stream(Device::sim);
  const Graph graph = Graph::capture(stream, [&] {
    launch<copy>({1, threads}, in.data(), out.data());
    mistake();
  });
  graph.launch(stream);
  return verdict(out.read(), numbers());
}

std::string run_synchronize(bool broken) {
  return run_captured([=] {
    if (broken) synchronize(Device::sim);
  });
}

std::string run_allocate(bool broken) {
  return run_captured([=] {
    if (broken) device_allocate(Device::sim, 12345677);
  });
}

constexpr const char* unwritten = "read shared memory before it was written";
constexpr auto races = Detector::thread_sanitizer;
constexpr auto addresses = Detector::address_sanitizer;

constexpr Example all[] = {
    {"missing_barrier", ATROUS_GATHER(missing_barrier, reversed), unwritten, races},
    {"missing_barrier_before_reuse", run_reuse, "wrong result", races},
    {"missing_syncwarp", ATROUS_GATHER(missing_syncwarp, [](int i) { return i ^ 1; }), unwritten, races},
    {"race_in_place", run_in_place, "wrong result", races},
    {"race_between_blocks", run_between_blocks, "wrong result", races},
    {"race_on_counter", run_counter, "", races},
    {"ticket_without_fence", run_ticket, "", races},
    {"barrier_after_exit", ATROUS_GATHER(barrier_after_exit, same),
     "divergent barrier, no thread can continue"},
    {"two_barriers", ATROUS_GATHER(two_barriers, same), "divergent barrier: threads of one block wait in"},
    {"named_barrier_count", ATROUS_GATHER(named_barrier_count, same),
     "expects 64 threads|expects 32 threads"},
    {"lane_has_exited", ATROUS_GATHER(lane_has_exited, same), "names lanes 0x00000008 that have exited"},
    {"lane_outside_mask", ATROUS_GATHER(lane_outside_mask, same), "lane 0 calls it but is not in the mask"},
    {"shuffle_from_outside_mask", ATROUS_GATHER(shuffle_from_outside_mask, same), "outside of its mask"},
    {"overlapping_masks", ATROUS_GATHER(overlapping_masks, same), "wrong lane mask"},
    {"different_collectives", ATROUS_GATHER(different_collectives, same), "wait in another collective"},
    {"missing_wait", ATROUS_GATHER(missing_wait, same), unwritten},
    {"wrong_group_count", ATROUS_GATHER(wrong_group_count, same), unwritten},
    {"missing_barrier_after_wait", ATROUS_GATHER(missing_barrier_after_wait, reversed), unwritten, races},
    {"unwritten_shared", run_unwritten<int>, unwritten},
    {"unwritten_shared_quieted", run_unwritten<float>, unwritten},
    {"unwritten_shared_bf16", run_unwritten<bf16>, unwritten},
    {"shared_write_past_end", ATROUS_GATHER(shared_write_past_end, same),
     "4 bytes past the end of static|1 bytes past the end of static", addresses},
    {"shared_write_before_start", run_shared_before_start, "4 bytes before dynamic", addresses},
    {"global_read_past_end", ATROUS_GATHER(global_read_past_end, same),
     "access out of bounds: 0 bytes past the end of an allocation of 256 bytes", addresses},
    {"global_write_past_end", ATROUS_GATHER(global_write_past_end, same),
     "access out of bounds: 0 bytes past the end of an allocation of 256 bytes", addresses},
    {"global_write_far_away", ATROUS_GATHER(global_write_far_away, same), "near no allocation of the device",
     addresses},
    {"global_write_into_guard", run_guard, "byte 1 past the end of an allocation of 244 bytes", addresses},
    {"misaligned_vector", ATROUS_GATHER(misaligned_vector, same), "misaligned access: 8 bytes at"},
    {"misaligned_ldmatrix", ATROUS_GATHER(misaligned_ldmatrix, same), "misaligned access: a row of ldmatrix"},
    {"much_static_shared", run_static_shared, "more than 49152 B of static shared memory"},
    {"much_dynamic_shared", run_dynamic_shared, "more than a GPU has"},
    {"static_and_dynamic_shared", run_static_and_dynamic,
     "or than 232448 B together with 231425 B of dynamic"},
    {"many_threads", run_threads, "blocks of 1024 threads"},
    {"synchronize_in_graph", run_synchronize, "waiting for the device is not possible while a graph"},
    {"allocate_in_graph", run_allocate, "memory cannot be taken from the system while a graph"},
};

}  // namespace

std::span<const Example> examples() {
  return all;
}

}  // namespace atrous::broken
