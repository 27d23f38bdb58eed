// The bytes of an open file, at any position.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <string>

namespace atrous {

class ByteSource {
 public:
  // `in` holds `size` bytes from its beginning and outlives this; `origin` names it in messages.
  ByteSource(std::istream& in, uint64_t size, std::string origin)
      : in_(in), size_(size), origin_(std::move(origin)) {}

  uint64_t size() const { return size_; }
  const std::string& origin() const { return origin_; }
  // The caller has checked that [at, at + bytes) lies in the file. Error(io) if it cannot be read.
  void read(uint64_t at, void* to, uint64_t bytes) const;
  std::string text(uint64_t at, uint64_t bytes) const;

 private:
  std::istream& in_;
  uint64_t size_;
  std::string origin_;
};

// A regular file open for reading, and its size. Error(io) says what is wrong with it; `where` begins the
// message ("safetensors").
std::ifstream open_regular_file(const std::string& path, const char* where, uint64_t& size);

}  // namespace atrous
