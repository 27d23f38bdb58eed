#include "core/byte_source.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <istream>

#include "core/error.h"
#include "core/file.h"

namespace atrous {

void ByteSource::read(uint64_t at, void* to, uint64_t bytes) const {
  ATROUS_ASSERT(at <= size_ && bytes <= size_ - at);
  in_.clear();
  in_.seekg(static_cast<std::streamoff>(at));
  in_.read(static_cast<char*>(to), static_cast<std::streamsize>(bytes));
  ATROUS_CHECK(in_ || bytes == 0, ErrorKind::io,
               "[weights {}] reading stopped early. Got {} of {} bytes. Check the disk, and that no other "
               "process writes the file.",
               origin_, in_.gcount(), bytes);
}

std::string ByteSource::text(uint64_t at, uint64_t bytes) const {
  std::string s(bytes, '\0');
  read(at, s.data(), bytes);
  return s;
}

std::ifstream open_regular_file(const std::string& path, const char* where, uint64_t& size) {
  std::error_code code;
  ATROUS_CHECK(std::filesystem::is_regular_file(path, code), ErrorKind::io,
               "[{} {}] the file must exist and be a regular file. Got {}. Check the path.", where, path,
               std::filesystem::is_directory(path, code) ? "a folder" : "no such file");
  errno = 0;
  std::ifstream in(path, std::ios::binary);
  if (!in) throw_if_no_memory();
  size = in ? std::filesystem::file_size(path, code) : 0;
  ATROUS_CHECK(in && !code, ErrorKind::io,
               "[{} {}] the file must be readable. Got: {}. Check its permissions.", where, path,
               std::strerror(errno));
  return in;
}

}  // namespace atrous
