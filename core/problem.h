// What any exception means to the user of the program.
#pragma once

#include <cstddef>
#include <exception>

#include "core/error.h"

namespace atrous {

// "error: [where] what. advice"; texts of the exception live as long as it does. Making one needs no memory.
struct Problem {
  ErrorKind kind = ErrorKind::internal;
  const char* where = "";  // empty: `what` is a whole message
  const char* what = "";
  const char* advice = "";
};

// Errors of atrous are taken as they are. Of the standard library's, no memory and no thread are `memory`,
// files and streams are `io`, and all else is a bug: `internal`.
Problem problem_of(const std::exception& exception) noexcept;

// The new-handler of the program: throws std::bad_alloc and notes it, because some callers of std::terminate
// hide the exception. no_memory_handled() clears the note.
[[noreturn]] void on_no_memory();
bool memory_ran_out() noexcept;
void no_memory_handled() noexcept;

// Whether a smaller batch would help when a request for that many bytes failed: no if tensors take little.
bool tensors_take_much(size_t bytes) noexcept;
const char* memory_advice(size_t bytes) noexcept;

}  // namespace atrous
