// A heap that refuses: while a NoMemory lives, `new` throws std::bad_alloc on its thread. Included by one
// file of an executable: it replaces the operators.
#pragma once

#include <cstdlib>
#include <new>

namespace atrous::test {

inline thread_local bool no_memory = false;

struct NoMemory {
  NoMemory() { no_memory = true; }
  ~NoMemory() { no_memory = false; }
  NoMemory(const NoMemory&) = delete;
  NoMemory& operator=(const NoMemory&) = delete;
};

}  // namespace atrous::test

// NOLINTBEGIN(misc-definitions-in-headers): operators that replace those of the library may not be inline.
// Not inlined: GCC would take what it sees of malloc for that of a vector.
[[gnu::noinline]] void* operator new(std::size_t size) {
  void* memory = atrous::test::no_memory ? nullptr : std::malloc(size ? size : 1);
  if (!memory) throw std::bad_alloc();
  return memory;
}
// Of std::stable_sort's buffer. AddressSanitizer's version would not match `free` below.
[[gnu::noinline]] void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  return atrous::test::no_memory ? nullptr : std::malloc(size ? size : 1);
}
[[gnu::noinline]] void operator delete(void* memory) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}
// NOLINTEND(misc-definitions-in-headers)
