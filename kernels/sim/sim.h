// A GPU simulator: runs CUDA kernels on the host, thread by thread, and reports what a GPU would silently get
// wrong.
//
// A grid is a set of blocks in random order; the threads of a block are fibers of one OS thread. A fiber runs
// until it waits (barrier, warp collective), then a random runnable one continues. Everything random follows
// from one seed, so any failure can be repeated. Reported, as Error(internal) with kernel, block, thread and
// seed:
//
//   barriers that not all threads reach, or that they reach at different points; warp collectives with wrong
//   lane masks; accesses out of bounds of global memory (a fault) and of shared memory (guard bands);
//   misaligned vector accesses; shared memory that is read before it is written (it starts as a NaN that is
//   recognised when it reaches global memory); data races in shared and global memory, with their source
//   line, in a ThreadSanitizer build.
//
// Kernels do not include this file: kernels/gpu/gpu.h gives them CUDA's names on both compilers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <source_location>
#include <string>

namespace atrous::simulator {

// Every schedule follows from this number. Initially ATROUS_SIM_SEED, else 1.
void set_seed(uint64_t seed);
uint64_t seed();

struct Dim3 {
  unsigned x = 1, y = 1, z = 1;
  constexpr Dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
  uint64_t count() const { return uint64_t{x} * y * z; }
};

// Limits of the simulated device: those of compute capability 9.0.
inline constexpr unsigned max_threads_per_block = 1024;
inline constexpr size_t max_static_shared = 48 << 10;
inline constexpr size_t max_shared = 227 << 10;

// The fill pattern of unwritten shared memory: a signalling NaN as f32 and as a pair of bf16. Arithmetic
// quiets it, bit 22 and bit 6.
inline constexpr uint32_t shared_poison = 0xFFA0FFA0u;

// Runs thread(), which calls the kernel, for every thread of the grid. Returns when all are done.
void run_grid(const char* kernel, Dim3 grid, Dim3 block, size_t dynamic_shared_bytes,
              const std::function<void()>& thread);

// ---- the interface for kernels, through kernels/gpu/ ----

using Site = std::source_location;

struct Block;
struct Thread {
  Dim3 index{0, 0, 0};
  Dim3 block_index{0, 0, 0};
  Dim3 block_dim;
  Dim3 grid_dim;
  unsigned linear = 0;  // within the block, x fastest
  unsigned lane = 0;
  Block* block = nullptr;
};
// The CUDA thread that runs now on this OS thread; nullptr in host code.
extern thread_local constinit Thread* self;

// Stops the grid with this problem of the current thread.
[[noreturn]] void fail_kernel(const std::string& problem);

void sync_threads(Site site);
// Barrier `id` (1..15; 0 is sync_threads) of `threads` threads, a multiple of 32.
void sync_named(int id, unsigned threads, Site site);
// Counts as arrived without waiting (bar.arrive).
void arrive_named(int id, unsigned threads, Site site);

// All lanes of `mask` meet; the last one calls compute with every lane's `data` (nullptr outside the mask).
// `ordered`: memory accesses before it happen before those after it, in any lane (true of __syncwarp only).
using Compute = void(unsigned mask, void* const* data);
void warp_collective(unsigned mask, void* data, Compute* compute, bool ordered, const char* what, Site site);

// Memory of one __shared__ variable: the same for all threads of the block. `tag` identifies the variable.
void* shared_memory(const void* tag, size_t bytes, size_t alignment);
void* dynamic_shared_memory();
// Whether [address, address + bytes) lies in memory that shared_memory or dynamic_shared_memory handed out.
bool is_shared(const void* address, size_t bytes);
void poison_shared(void* address, size_t bytes);
// A number from the schedule's random sequence.
uint32_t random_choice();

// __threadfence: writes before it are visible to threads that pass a fence after it.
void thread_fence();

// Per-thread list of asynchronous copies, run in order by run_async_copies.
struct AsyncCopy {
  void* to;
  const void* from;
  unsigned bytes, from_bytes;  // the rest is zero-filled
};
void issue_async_copy(const AsyncCopy& copy);
void commit_async_group();
// Returns the copies of all but the newest `pending` groups, in order; they are off the list then.
size_t take_async_copies(int pending, AsyncCopy* out, size_t capacity);

}  // namespace atrous::simulator
