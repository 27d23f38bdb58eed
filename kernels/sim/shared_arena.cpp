#include "kernels/sim/shared_arena.h"

#include <fmt/core.h>
#include <sys/mman.h>

#include <cstdint>
#include <cstring>
#include <new>

#include "kernels/sim/sim.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#define ATROUS_FORBID(address, bytes) __asan_poison_memory_region(address, bytes)
#define ATROUS_ALLOW(address, bytes) __asan_unpoison_memory_region(address, bytes)
#else
#define ATROUS_FORBID(address, bytes)
#define ATROUS_ALLOW(address, bytes)
#endif

namespace atrous::simulator {
namespace {

constexpr std::byte guard_byte{0xA5};
constexpr size_t capacity = max_shared + max_static_shared + (256 << 10);  // guard bands need room too

constexpr size_t round_up(size_t n, size_t multiple) {
  return (n + multiple - 1) / multiple * multiple;
}

}  // namespace

void fill_poison(void* memory, size_t bytes) {
  auto* p = static_cast<unsigned char*>(memory);
  for (size_t i = 0; i < bytes; ++i) {
    p[i] = static_cast<unsigned char>(shared_poison >> (8 * ((reinterpret_cast<uintptr_t>(p) + i) % 4)));
  }
}

void SharedArena::paint_guard(size_t begin, size_t end) {
  std::memset(memory_ + begin, static_cast<int>(guard_byte), end - begin);
  ATROUS_FORBID(memory_ + begin, end - begin);
}

void SharedArena::start_block() {
  if (!memory_) {
    void* memory =
        mmap(nullptr, capacity, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    memory_ = static_cast<std::byte*>(memory);
  }
  ATROUS_ALLOW(memory_, capacity);
  variables_.clear();
  static_bytes_ = 0;
  used_ = round_up(guard + dynamic_bytes_, 16) + band;
  paint_guard(0, guard);
  fill_poison(memory_ + guard, dynamic_bytes_);
  paint_guard(guard + dynamic_bytes_, used_);
}

void* SharedArena::variable(const void* tag, size_t bytes, size_t alignment) {
  for (const Variable& v : variables_) {
    if (v.tag == tag) return memory_ + v.offset;
  }
  const size_t offset = round_up(used_, alignment);
  const size_t end = round_up(offset + bytes, 16) + band;
  static_bytes_ += bytes;
  // A GPU puts dynamic memory behind the static variables, at a multiple of its alignment.
  const size_t before_dynamic = dynamic_bytes_ ? round_up(static_bytes_, guard) : static_bytes_;
  if (static_bytes_ > max_static_shared || before_dynamic + dynamic_bytes_ > max_shared || end > capacity)
    return nullptr;
  ATROUS_ALLOW(memory_ + used_, offset - used_);
  paint_guard(used_, offset);
  fill_poison(memory_ + offset, bytes);
  paint_guard(offset + bytes, end);
  variables_.push_back({tag, offset, bytes});
  used_ = end;
  return memory_ + offset;
}

bool SharedArena::contains(const void* address, size_t bytes) const {
  const auto* p = static_cast<const std::byte*>(address);
  const auto inside = [&](size_t offset, size_t size) {
    return p >= memory_ + offset && p + bytes <= memory_ + offset + size;
  };
  if (inside(guard, dynamic_bytes_)) return true;
  for (const Variable& v : variables_) {
    if (inside(v.offset, v.bytes)) return true;
  }
  return false;
}

std::string SharedArena::damage() const {
#if !defined(__SANITIZE_ADDRESS__)  // there the access itself is reported
  size_t begin = 0;
  const auto damaged = [&](size_t from, size_t to) {
    for (size_t i = from; i < to; ++i) {
      if (memory_[i] != guard_byte) return i;
    }
    return to;
  };
  // Guard bands lie before, between and after: [0, dynamic), [end of dynamic, first variable), ...
  if (const size_t i = damaged(0, guard); i < guard) {
    return fmt::format("write out of bounds: {} bytes before dynamic shared memory", guard - i);
  }
  begin = guard + dynamic_bytes_;
  size_t end_of_previous = begin;
  for (size_t v = 0; v <= variables_.size(); ++v) {
    const size_t end = v < variables_.size() ? variables_[v].offset : used_;
    if (const size_t i = damaged(begin, end); i < end) {
      return fmt::format("write out of bounds: {} bytes past the end of {} shared memory of {} bytes",
                         i - end_of_previous + 1, v == 0 ? "dynamic" : "static",
                         v == 0 ? dynamic_bytes_ : variables_[v - 1].bytes);
    }
    if (v < variables_.size()) end_of_previous = begin = variables_[v].offset + variables_[v].bytes;
  }
#endif
  return "";
}

void SharedArena::unmap() {
  if (!memory_) return;
  ATROUS_ALLOW(memory_, capacity);
  munmap(memory_, capacity);
  memory_ = nullptr;
}

}  // namespace atrous::simulator
