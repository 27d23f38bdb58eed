#include "core/problem.h"

#include <filesystem>
#include <ios>
#include <new>
#include <system_error>

#include "core/allocator.h"

namespace atrous {
namespace {

thread_local constinit bool ran_out = false;

Problem of_system(const std::system_error& error) noexcept {
  const std::error_code& code = error.code();
  if (code == std::errc::not_enough_memory)
    return {ErrorKind::memory, "memory", error.what(), memory_advice(0)};
  if (code == std::errc::resource_unavailable_try_again) {
    return {ErrorKind::memory, "threads", error.what(),
            "Use fewer threads (ATROUS_THREADS, data.workers), or raise the limit of threads (ulimit -u)."};
  }
  if (dynamic_cast<const std::filesystem::filesystem_error*>(&error))
    return {ErrorKind::io, "file", error.what(), "Check the path and its permissions."};
  if (dynamic_cast<const std::ios_base::failure*>(&error))
    return {ErrorKind::io, "file", error.what(), "Check the disk and its free space."};
  return {ErrorKind::internal, "internal", error.what(),
          "Please report this with the output of `atrous doctor`."};
}

}  // namespace

Problem problem_of(const std::exception& exception) noexcept {
  if (const auto* error = dynamic_cast<const Error*>(&exception))
    return {error->kind(), "", error->what(), ""};
  if (dynamic_cast<const std::bad_alloc*>(&exception)) {
    return {ErrorKind::memory, "memory", "the system has no memory left for this", memory_advice(0)};
  }
  if (const auto* error = dynamic_cast<const std::system_error*>(&exception)) return of_system(*error);
  return {ErrorKind::internal, "internal", exception.what(),
          "Please report this with the output of `atrous doctor`."};
}

void on_no_memory() {
  ran_out = true;
  throw std::bad_alloc();
}

bool memory_ran_out() noexcept {
  return ran_out;
}

void no_memory_handled() noexcept {
  ran_out = false;
}

bool tensors_take_much(size_t bytes) noexcept {
  constexpr size_t much = size_t{64} << 20;
  return bytes >= much || static_cast<size_t>(allocator_stats().peak_in_use) >= much;
}

const char* memory_advice(size_t bytes) noexcept {
  return tensors_take_much(bytes)
             ? "Use a smaller batch, crop, window or network."
             : "Tensors use little of it: end other programs, or raise the limit of this one (ulimit -v, or "
               "its container's).";
}

}  // namespace atrous
