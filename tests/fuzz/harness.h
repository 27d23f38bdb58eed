// What the fuzz harnesses share (README.md).
//
// A harness hands untrusted bytes to one reader and asserts properties of what comes back. A reader may
// accept its input or refuse it with an atrous::Error of a kind that its header promises. Anything else is a
// finding and ends the process: another exception, an Error of another kind, a property that does not hold,
// and what the sanitizers and libFuzzer find themselves (stray accesses, undefined behaviour, leaks, hangs,
// more memory than the limit).
#pragma once

#include <cstdint>
#include <cstring>
#include <functional>
#include <initializer_list>
#include <span>
#include <string>

#include "core/error.h"

namespace fuzz {

using Bytes = std::span<const uint8_t>;
using Harness = void (*)(Bytes);

// Reports the property that does not hold, and the input where it is known, then aborts.
[[noreturn]] void finding(const std::string& property);
inline void require(bool holds, const char* property) {
  if (!holds) finding(property);
}

// Runs a reader. True if it accepts; false if it refuses with an Error of one of these kinds.
bool accepts(std::initializer_list<atrous::ErrorKind> kinds, const std::function<void()>& read);
// What came of all calls so far.
struct Counts {
  int64_t accepted = 0;
  int64_t refused = 0;
};
Counts counts();

// A file in memory with these bytes, for readers that take a path; one per `name` and process.
const std::string& file_with(Bytes bytes, const char* name = "input");
inline Bytes bytes_of(const std::string& text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}
inline std::string text_of(Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// While it lives, memory that was never written reads as this byte: two reads of one input under two stains
// differ where the reader hands out such memory. Under libFuzzer every new block is filled; elsewhere the
// blocks that the allocator of tensors hands out next.
class Stain {
 public:
  explicit Stain(uint8_t byte);
  ~Stain();
  Stain(const Stain&) = delete;
  Stain& operator=(const Stain&) = delete;
};

// Takes the front of an input for choices; missing bytes are 0.
struct Input {
  Bytes left;
  template <class T>
  T take() {
    T value{};
    const size_t n = std::min(left.size(), sizeof value);
    if (n > 0) std::memcpy(&value, left.data(), n);
    left = left.subspan(n);
    return value;
  }
  // The text up to the next zero byte, which is dropped.
  std::string take_text() {
    const auto* zero = left.empty() ? nullptr : std::memchr(left.data(), 0, left.size());
    const size_t n =
        zero ? static_cast<size_t>(static_cast<const uint8_t*>(zero) - left.data()) : left.size();
    const std::string text = text_of(left.first(n));
    left = left.subspan(std::min(n + 1, left.size()));
    return text;
  }
};

// How fuzz_corpus, the regression test of ordinary builds, finds the harnesses.
struct Registration {
  Registration(const char* name, Harness harness);
};

}  // namespace fuzz

// FUZZ_HARNESS(name, bytes) { ... }: libFuzzer's entry in its build, a row of fuzz_corpus elsewhere.
#ifdef ATROUS_FUZZ
#define FUZZ_HARNESS(name, bytes)                                           \
  static void name##_harness(fuzz::Bytes bytes);                            \
  extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) { \
    name##_harness({data, size});                                           \
    return 0;                                                               \
  }                                                                         \
  static void name##_harness(fuzz::Bytes bytes)
#else
#define FUZZ_HARNESS(name, bytes)                                             \
  static void name##_harness(fuzz::Bytes bytes);                              \
  static const fuzz::Registration name##_registration(#name, name##_harness); \
  static void name##_harness(fuzz::Bytes bytes)
#endif
