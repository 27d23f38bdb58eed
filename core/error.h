// Errors that a user can act on.
//
// Every message reads "[where] rule. Got values. What to do." The kind decides the exit code of the program
// (docs/commands.md), so scripts can distinguish a wrong config from a full disk.
#pragma once

#include <fmt/core.h>

#include <stdexcept>
#include <string>

namespace atrous {

// The value of each kind is the exit code of the `atrous` program.
enum class ErrorKind {
  internal = 1,
  usage = 2,
  config = 3,
  data = 4,
  checkpoint = 5,  // a checkpoint or weights file
  memory = 6,
  diverged = 7,  // NaN or Inf during training
  io = 8,
};

class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const std::string& message) : std::runtime_error(message), kind_(kind) {}
  ErrorKind kind() const { return kind_; }
  int exit_code() const { return static_cast<int>(kind_); }

 private:
  ErrorKind kind_;
};

template <class... Args>
[[noreturn]] void fail(ErrorKind kind, fmt::format_string<Args...> format, Args&&... args) {
  throw Error(kind, fmt::format(format, std::forward<Args>(args)...));
}

// A broken invariant of atrous itself, never of the user's input.
[[noreturn]] void assertion_failed(const char* expression, const char* file, int line);

}  // namespace atrous

// User-facing check: ATROUS_CHECK(c == w.dim(3), ErrorKind::usage, "[conv2d] channels must agree. Got {}...",
// c)
#define ATROUS_CHECK(condition, kind, ...) \
  do {                                     \
    if (!(condition)) [[unlikely]]         \
      ::atrous::fail(kind, __VA_ARGS__);   \
  } while (false)

#define ATROUS_ASSERT(condition)                                  \
  do {                                                            \
    if (!(condition)) [[unlikely]]                                \
      ::atrous::assertion_failed(#condition, __FILE__, __LINE__); \
  } while (false)
