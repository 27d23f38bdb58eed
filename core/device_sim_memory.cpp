#include "core/device_sim_memory.h"

#include <fmt/core.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "core/device_sim.h"
#include "core/error.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#endif

namespace atrous {
namespace {

constexpr std::byte canary{0xC5};

size_t page() {
  static const auto size = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  return size;
}

size_t round_up(size_t n, size_t step) {
  return (n + step - 1) / step * step;
}

size_t mapped_size(size_t size) {
  return round_up(size, page());
}

}  // namespace

std::byte* GuardedMemory::map(size_t size, size_t capacity) {
  std::lock_guard lock(mutex_);
  if (size > capacity || total_ > capacity - size) return nullptr;
  const size_t mapped = mapped_size(size);
  void* all =
      ::mmap(nullptr, mapped + 2 * page(), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (all == MAP_FAILED) return nullptr;
  std::byte* block = static_cast<std::byte*>(all) + page();
  blocks_[block] = {.size = size, .mapped = mapped, .bytes = 0, .in_use = false};
  total_ += size;
  return block;
}

void GuardedMemory::unmap(std::byte* block) {
  std::lock_guard lock(mutex_);
  const auto it = blocks_.find(block);
  ATROUS_ASSERT(it != blocks_.end());
#ifdef __SANITIZE_ADDRESS__
  ASAN_UNPOISON_MEMORY_REGION(block, it->second.mapped);
#endif
  ::munmap(block - page(), it->second.mapped + 2 * page());
  total_ -= it->second.size;
  blocks_.erase(it);
}

std::byte* GuardedMemory::place(std::byte* block, size_t size, size_t bytes) {
  return block + mapped_size(size) - round_up(bytes, 16);
}

void GuardedMemory::open(std::byte* block, size_t bytes) {
  std::lock_guard lock(mutex_);
  Block& b = blocks_.at(block);
  b.bytes = bytes;
  b.in_use = true;
  ATROUS_CHECK(::mprotect(block, b.mapped, PROT_READ | PROT_WRITE) == 0, ErrorKind::memory,
               "[sim] the system refused {} bytes of memory. Use a smaller batch, crop or network.",
               b.mapped);
  std::byte* first = place(block, b.size, bytes);
  std::byte* end = block + b.mapped;
#ifdef __SANITIZE_ADDRESS__
  ASAN_UNPOISON_MEMORY_REGION(block, b.mapped);
#endif
  std::fill_n(reinterpret_cast<uint32_t*>(first), round_up(bytes, 16) / 4, kGlobalPoison);
#ifdef __SANITIZE_ADDRESS__
  ASAN_POISON_MEMORY_REGION(block, static_cast<size_t>(first - block));
  ASAN_POISON_MEMORY_REGION(first + bytes, static_cast<size_t>(end - first) - bytes);
#else
  std::fill(block, first, canary);
  std::fill(first + bytes, end, canary);
#endif
}

std::string GuardedMemory::damage([[maybe_unused]] const std::byte* block, [[maybe_unused]] const Block& b) {
#ifndef __SANITIZE_ADDRESS__
  const std::byte* first = place(const_cast<std::byte*>(block), b.size, b.bytes);
  const std::byte* end = block + b.mapped;
  const auto differs = [](std::byte v) { return v != canary; };
  if (const std::byte* bad = std::find_if(first + b.bytes, end, differs); bad != end) {
    return fmt::format("byte {} past the end of an allocation of {} bytes was overwritten",
                       bad - (first + b.bytes) + 1, b.bytes);
  }
  // From the allocation backwards: the nearest damage is the one that says by how much an index was wrong.
  for (const std::byte* p = first; p != block; --p) {
    if (differs(p[-1])) {
      return fmt::format("byte {} before an allocation of {} bytes was overwritten", first - p + 1, b.bytes);
    }
  }
#endif
  return "";
}

void GuardedMemory::close(std::byte* block) {
  std::lock_guard lock(mutex_);
  Block& b = blocks_.at(block);
  if (!b.in_use) return;
  if (damage_.empty()) damage_ = damage(block, b);
  b.in_use = false;
#ifdef __SANITIZE_ADDRESS__
  ASAN_POISON_MEMORY_REGION(block, b.mapped);
#endif
  ::mprotect(block, b.mapped, PROT_NONE);
}

std::string GuardedMemory::check() {
  std::lock_guard lock(mutex_);
  if (!damage_.empty()) return damage_;
  for (const auto& [block, b] : blocks_) {
    if (!b.in_use) continue;
    if (std::string found = damage(block, b); !found.empty()) return found;
  }
  return "";
}

std::string GuardedMemory::take_damage() {
  std::lock_guard lock(mutex_);
  return std::exchange(damage_, "");
}

std::string GuardedMemory::take_shared_poison(size_t largest) {
  // As an f32 or two bf16, quiet or not. A single bf16 is not searched for, nor an f32 that was one: good
  // numbers and masks of bits may look like that.
  const auto poisoned = [](uint32_t word) { return (word & ~0x00400040u) == kSharedPoison; };
  constexpr uint32_t nan = 0x7FC07FC0;  // as an f32 and as two bf16
  std::lock_guard lock(mutex_);
  std::string found;
  for (const auto& [block, b] : blocks_) {
    if (!b.in_use || b.bytes > largest) continue;
    auto* words = reinterpret_cast<uint32_t*>(place(const_cast<std::byte*>(block), b.size, b.bytes));
    for (size_t i = 0; i < b.bytes / 4; ++i) {
      if (!poisoned(words[i])) continue;
      if (found.empty()) found = fmt::format("byte {} of an allocation of {} bytes", 4 * i, b.bytes);
      words[i] = nan;
    }
  }
  return found;
}

std::string GuardedMemory::describe(const std::byte* address) {
  std::lock_guard lock(mutex_);
  for (const auto& [block, b] : blocks_) {
    if (address < block - page() || address >= block + b.mapped + page()) continue;
    const std::byte* first = place(const_cast<std::byte*>(block), b.size, b.bytes);
    const char* kind = b.in_use ? "an" : "a freed";
    if (address < first) {
      return fmt::format("{} bytes before {} allocation of {} bytes", first - address, kind, b.bytes);
    }
    const auto offset = static_cast<size_t>(address - first);
    if (offset < b.bytes) return fmt::format("byte {} of {} allocation of {} bytes", offset, kind, b.bytes);
    return fmt::format("{} bytes past the end of {} allocation of {} bytes", offset - b.bytes, kind, b.bytes);
  }
  return "";
}

}  // namespace atrous
