#include "core/allocator.h"

#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <map>
#include <mutex>
#include <vector>

#include "core/error.h"

namespace atrous {
namespace {

struct Pool {
  std::mutex mutex;
  std::map<size_t, std::vector<void*>> free_blocks;
  AllocatorStats stats;

  void drop_cache() {
    for (auto& [size, blocks] : free_blocks) {
      for (void* block : blocks) std::free(block);
    }
    free_blocks.clear();
    stats.bytes_cached = 0;
  }
};

// Never destroyed: tensors in static storage may outlive any static pool.
Pool& pool() {
  static Pool* instance = new Pool;
  return *instance;
}

void release(void* block, size_t size) {
  Pool& p = pool();
  std::lock_guard lock(p.mutex);
  p.stats.bytes_in_use -= static_cast<int64_t>(size);
#ifdef ATROUS_SANITIZED
  std::free(block);  // the sanitizers see use after free only if the block really goes back
#else
  p.stats.bytes_cached += static_cast<int64_t>(size);
  p.free_blocks[size].push_back(block);
#endif
}

// Activations are read in strides of many pages, which 4 KiB pages make a matter of address translation:
// large blocks ask for huge pages. What is left over at the end of a block keeps small ones, so that memory
// that nobody writes is not taken.
void* system_block(size_t bytes, size_t size) {
  constexpr size_t huge_page = size_t{2} << 20;
  if (size < 2 * huge_page) return std::aligned_alloc(64, size);
  void* block = std::aligned_alloc(huge_page, size);
#ifdef MADV_HUGEPAGE
  if (block) madvise(block, bytes / huge_page * huge_page, MADV_HUGEPAGE);  // advice: may be ignored
#endif
  return block;
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
  const size_t size = allocation_class(bytes);
  Pool& p = pool();
  void* block = nullptr;
  {
    std::lock_guard lock(p.mutex);
    ++p.stats.allocations;
    if (auto it = p.free_blocks.find(size); it != p.free_blocks.end() && !it->second.empty()) {
      block = it->second.back();
      it->second.pop_back();
      p.stats.bytes_cached -= static_cast<int64_t>(size);
    } else {
      // Free blocks of other size classes do not help. Images of ever new sizes must not pile them up.
      if (p.stats.bytes_cached > (int64_t{256} << 20) &&
          p.stats.bytes_cached + p.stats.bytes_in_use > p.stats.peak_in_use + p.stats.peak_in_use / 4) {
        p.drop_cache();
      }
      block = system_block(bytes, size);
      if (!block) {
        p.drop_cache();
        block = system_block(bytes, size);
      }
      if (!block) {
        fail(ErrorKind::memory,
             "[memory] the system has no memory left. Got a request for {} bytes while {} bytes are in use "
             "(peak {}). Use a smaller batch, crop or network.",
             bytes, p.stats.bytes_in_use, p.stats.peak_in_use);
      }
      ++p.stats.system_calls;
    }
    p.stats.bytes_in_use += static_cast<int64_t>(size);
    p.stats.peak_in_use = std::max(p.stats.peak_in_use, p.stats.bytes_in_use);
  }
  return std::shared_ptr<std::byte>(static_cast<std::byte*>(block),
                                    [size](std::byte* q) { release(q, size); });
}

AllocatorStats allocator_stats() {
  std::lock_guard lock(pool().mutex);
  return pool().stats;
}

void reset_peak_memory() {
  std::lock_guard lock(pool().mutex);
  pool().stats.peak_in_use = pool().stats.bytes_in_use;
}

void release_cached_memory() {
  std::lock_guard lock(pool().mutex);
  pool().drop_cache();
}

}  // namespace atrous
