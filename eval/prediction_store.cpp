#include "eval/prediction_store.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "core/atomic_file.h"
#include "core/error.h"

namespace atrous::eval {
namespace {

[[noreturn]] void fail_io(const std::string& folder, const char* what) {
  fail(ErrorKind::io,
       "[predictions] a temporary file for predictions must be {} in \"{}\". Got: {}. Keep more of them in "
       "memory, or take fewer images.",
       what, folder, std::strerror(errno));
}

// Calls `step` (pread or pwrite) until all is done: one call may do a part.
template <class Step>
bool all_of(std::byte* data, size_t bytes, off_t offset, const Step& step) {
  while (bytes > 0) {
    const ssize_t done = step(data, bytes, offset);
    if (done < 0 && errno == EINTR) continue;
    if (done == 0) errno = EIO;
    if (done <= 0) return false;
    data += done;
    offset += done;
    bytes -= static_cast<size_t>(done);
  }
  return true;
}

}  // namespace

PredictionStore::PredictionStore(int64_t memory_bytes, std::string folder)
    : memory_left_(memory_bytes), folder_(std::move(folder)) {}

PredictionStore::~PredictionStore() {
  if (file_ >= 0) ::close(file_);
}

void PredictionStore::add(const Tensor& tensor) {
  ATROUS_ASSERT(tensor.contiguous() && tensor.device() == Device::cpu);
  const auto bytes = static_cast<int64_t>(tensor.bytes());
  if (bytes <= memory_left_) {
    memory_left_ -= bytes;
    entries_.push_back({tensor, tensor.shape(), tensor.dtype(), 0});
    return;
  }
  if (file_ < 0) {
    file_ = open_unnamed_file(folder_);
    if (file_ < 0) fail_io(folder_, "creatable");
  }
  if (!all_of(tensor.raw(), tensor.bytes(), file_bytes_,
              [&](std::byte* p, size_t n, off_t at) { return ::pwrite(file_, p, n, at); }))
    fail_io(folder_, "writable");
  entries_.push_back({{}, tensor.shape(), tensor.dtype(), file_bytes_});
  file_bytes_ += bytes;
}

Tensor PredictionStore::get(size_t i) const {
  const Entry& entry = entries_.at(i);
  if (entry.tensor.defined()) return entry.tensor;
  const Tensor tensor = Tensor::empty(entry.shape, entry.dtype);
  if (!all_of(tensor.raw(), tensor.bytes(), entry.offset,
              [&](std::byte* p, size_t n, off_t at) { return ::pread(file_, p, n, at); }))
    fail_io(folder_, "readable");
  return tensor;
}

}  // namespace atrous::eval
