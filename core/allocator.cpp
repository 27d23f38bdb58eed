#include "core/allocator.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdlib>
#include <mutex>
#include <new>
#include <utility>

#include "core/error.h"
#include "core/page_heap.h"
#include "core/problem.h"

namespace atrous {
namespace {

constexpr size_t largest_small = size_t{32} << 10;

struct FreeBlock {
  FreeBlock* next;
};

// Small blocks come in size classes, cut out of slabs, and are never returned: they are too many for the heap
// and too small to matter. A free one holds the link to the next: freeing takes no memory.
struct Pool {
  std::mutex mutex;
  PageHeap heap;
  std::array<FreeBlock*, largest_small / 64 + 1> small_blocks{};  // sizes are multiples of 64
  std::byte* slab = nullptr;
  size_t slab_left = 0;
  AllocatorStats stats;

  std::byte* large(size_t size) {
    bool fresh = false;
    std::byte* block = heap.take(size, fresh);
    stats.system_calls += fresh;
    return block;
  }

  std::byte* small(size_t size) {
    FreeBlock*& first = small_blocks[size / 64];
    if (first) return reinterpret_cast<std::byte*>(std::exchange(first, first->next));
    if (slab_left < size) {
      constexpr size_t slab_size = size_t{256} << 10;
      slab = large(slab_size);
      slab_left = slab ? slab_size : 0;
      if (!slab) return nullptr;
    }
    slab_left -= size;
    return slab + slab_left;
  }

#ifdef ATROUS_SANITIZED  // the sanitizers detect use after free only if the block is really freed
  std::byte* take(size_t size) {
    ++stats.system_calls;
    return static_cast<std::byte*>(std::aligned_alloc(64, size));
  }
  void give_back(std::byte* block, size_t) {
    std::free(block);
  }
#else
  std::byte* take(size_t size) {
    return size <= largest_small ? small(size) : large(size);
  }
  void give_back(std::byte* block, size_t size) {
    if (size > largest_small) return heap.give_back(block, size);
    FreeBlock*& first = small_blocks[size / 64];
    first = new (block) FreeBlock{first};
  }
#endif
};

// Never destroyed: tensors in static storage may outlive any static pool. Needs no memory of the system's
// heap, because it is queried for error messages when the system is out of memory.
Pool& pool() {
  alignas(Pool) static std::byte memory[sizeof(Pool)];
  static Pool* instance = new (memory) Pool;
  return *instance;
}

void release(std::byte* block, size_t size) {
  Pool& p = pool();
  std::lock_guard lock(p.mutex);
  p.stats.bytes_in_use -= static_cast<int64_t>(size);
  p.give_back(block, size);
}

size_t block_size(size_t bytes) {
  return bytes <= largest_small ? allocation_class(bytes)
                                : (bytes + PageHeap::page - 1) / PageHeap::page * PageHeap::page;
}

}  // namespace

// At most 12.5 % waste.
size_t allocation_class(size_t bytes) {
  constexpr size_t smallest = 256;
  if (bytes <= smallest) return smallest;
  const size_t step = std::max<size_t>(64, std::bit_floor(bytes - 1) / 8);
  return (bytes + step - 1) / step * step;
}

std::shared_ptr<std::byte> allocate(size_t bytes) {
  ATROUS_CHECK(bytes < (size_t{1} << 48), ErrorKind::memory,
               "[memory] one tensor must stay below 2^48 bytes. Got {}. Use a smaller batch or tile.", bytes);
  const size_t size = block_size(bytes);
  Pool& p = pool();
  std::byte* block = nullptr;
  AllocatorStats stats;
  {
    std::lock_guard lock(p.mutex);
    ++p.stats.allocations;
    block = p.take(size);
    if (!block) {
      p.heap.release();  // free ranges of other sizes may hold the memory that the system lacks
      block = p.take(size);
    }
    if (block) p.stats.bytes_in_use += static_cast<int64_t>(size);
    p.stats.peak_in_use = std::max(p.stats.peak_in_use, p.stats.bytes_in_use);
    stats = p.stats;
  }
  ATROUS_CHECK(block, ErrorKind::memory,
               "[memory] the system has no memory left. Got a request for {} bytes while {} bytes are in "
               "use (peak {}). {}",
               bytes, stats.bytes_in_use, stats.peak_in_use, memory_advice(bytes));
  return std::shared_ptr<std::byte>(block, [size](std::byte* q) { release(q, size); });
}

AllocatorStats allocator_stats() {
  Pool& p = pool();
  std::lock_guard lock(p.mutex);
  AllocatorStats stats = p.stats;
  stats.bytes_cached = static_cast<int64_t>(p.heap.free_bytes());
  return stats;
}

void reset_peak_memory() {
  std::lock_guard lock(pool().mutex);
  pool().stats.peak_in_use = pool().stats.bytes_in_use;
}

void release_cached_memory() {
  std::lock_guard lock(pool().mutex);
  pool().heap.release();
}

}  // namespace atrous
