// Caching host allocator.
//
// A fresh page costs a fault, about as much as a kernel that writes it, so freed memory is kept and reused:
// once warmed up, a training step allocates nothing from the system, and the cache holds little more than
// the step uses.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

namespace atrous {

struct AllocatorStats {
  int64_t bytes_in_use = 0;  // held by live tensors
  int64_t peak_in_use = 0;   // since the last reset_peak
  int64_t bytes_cached = 0;  // free, kept for reuse
  int64_t system_calls = 0;  // requests so far that had to take memory from the system
  int64_t allocations = 0;   // requests so far
};

// Size classes: eight steps per power of two, at least 256 bytes.
size_t allocation_class(size_t bytes);

// 64-byte aligned, uninitialised. Throws Error(memory) with the bytes requested and the bytes held.
std::shared_ptr<std::byte> allocate(size_t bytes);

AllocatorStats allocator_stats();
void reset_peak_memory();
// Returns all free memory to the system.
void release_cached_memory();

}  // namespace atrous
