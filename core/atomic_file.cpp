#include "core/atomic_file.h"

#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <ostream>
#include <streambuf>
#include <vector>

#include "core/error.h"

namespace atrous {
namespace {

// A stream onto a file descriptor. Unlike std::ofstream it keeps the reason of the first failure and gives
// access to fsync.
class DescriptorBuffer : public std::streambuf {
 public:
  explicit DescriptorBuffer(int fd) : fd_(fd), buffer_(size_t{1} << 20) {
    setp(buffer_.data(), buffer_.data() + buffer_.size());
  }
  int error() const { return error_; }

 protected:
  int_type overflow(int_type c) override {
    if (!flush()) return traits_type::eof();
    if (!traits_type::eq_int_type(c, traits_type::eof())) {
      *pptr() = traits_type::to_char_type(c);
      pbump(1);
    }
    return traits_type::not_eof(c);
  }
  std::streamsize xsputn(const char* data, std::streamsize n) override {
    if (n < epptr() - pptr()) {
      std::memcpy(pptr(), data, static_cast<size_t>(n));
      pbump(static_cast<int>(n));
      return n;
    }
    return flush() && write_all(data, static_cast<size_t>(n)) ? n : 0;
  }
  int sync() override { return flush() ? 0 : -1; }

 private:
  bool flush() {
    const bool ok = write_all(pbase(), static_cast<size_t>(pptr() - pbase()));
    setp(buffer_.data(), buffer_.data() + buffer_.size());
    return ok;
  }
  bool write_all(const char* data, size_t n) {
    while (n > 0 && !error_) {
      const ssize_t written = ::write(fd_, data, n);
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) {
        error_ = errno;
      } else {
        data += written;
        n -= static_cast<size_t>(written);
      }
    }
    return !error_;
  }

  int fd_;
  int error_ = 0;
  std::vector<char> buffer_;
};

[[noreturn]] void write_failed(const std::string& path, int reason) {
  fail(ErrorKind::io,
       "[write] \"{}\" must be written completely. Got: {}. The old file is unchanged; free some space or "
       "choose another place.",
       path, std::strerror(reason));
}

void sync_folder(const std::string& folder) {
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  ::fsync(fd);  // some file systems cannot sync folders; then the rename is as safe as they make it
  ::close(fd);
}

// Gives the file at `path` the name `keep`, in place of what has that name. A second name first, so that
// `path` is there at any moment; a plain rename where the file system has no hard links.
void keep_old(const std::string& path, const std::string& keep) {
  const std::string second = keep + ".tmp";
  ::unlink(second.c_str());  // left over from a crash
  const bool linked = ::link(path.c_str(), second.c_str()) == 0;
  if (!linked && errno == ENOENT) return;  // no old file
  if (std::rename(linked ? second.c_str() : path.c_str(), keep.c_str()) != 0) write_failed(keep, errno);
  // After a crash right here both names are of one file; the next time, rename does nothing and leaves
  // `second`.
  ::unlink(second.c_str());
}

// Removes the temporary file unless told that all went well.
struct Temporary {
  std::string path;
  int fd = -1;
  bool keep = false;
  ~Temporary() {
    if (fd >= 0) ::close(fd);
    if (!keep) ::unlink(path.c_str());
  }
};

}  // namespace

void write_file_atomically(const std::string& path, const std::function<void(std::ostream&)>& write,
                           uint64_t expected_bytes, const std::string& keep) {
  const std::filesystem::path parent = std::filesystem::path(path).parent_path();
  const std::string folder = parent.empty() ? "." : parent.string();
  struct statvfs space {};
  if (expected_bytes && ::statvfs(folder.c_str(), &space) == 0) {
    const uint64_t available = static_cast<uint64_t>(space.f_bavail) * space.f_frsize;
    ATROUS_CHECK(available >= expected_bytes, ErrorKind::io,
                 "[write] the disk must have room for \"{}\". Got {} bytes free for a file of {}. The old "
                 "file is unchanged; free some space.",
                 path, available, expected_bytes);
  }
  std::error_code ignored;
  const auto type = std::filesystem::status(path, ignored).type();
  // Renaming onto a pipe or a device would replace it.
  const bool direct =
      type == std::filesystem::file_type::fifo || type == std::filesystem::file_type::character;
  Temporary temporary{direct ? path : path + ".tmp"};
  temporary.keep = direct;
  temporary.fd = ::open(temporary.path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (temporary.fd < 0) write_failed(path, errno);

  DescriptorBuffer buffer(temporary.fd);
  std::ostream stream(&buffer);
  try {
    write(stream);
  } catch (const Error&) {
    if (!buffer.error()) throw;  // otherwise the reason of the system says more
  }
  stream.flush();
  if (buffer.error()) write_failed(path, buffer.error());
  ATROUS_CHECK(stream.good(), ErrorKind::io,
               "[write] \"{}\" must be written completely. Got a stream error. The old file is unchanged.",
               path);
  if (!direct && ::fsync(temporary.fd) != 0) write_failed(path, errno);
  const int closed = ::close(temporary.fd);
  temporary.fd = -1;
  if (closed != 0 && errno != EINTR) write_failed(path, errno);
  if (direct) return;

  if (!keep.empty()) keep_old(path, keep);
  if (std::rename(temporary.path.c_str(), path.c_str()) != 0) write_failed(path, errno);
  temporary.keep = true;
  sync_folder(folder);
}

void write_file_atomically(const std::string& path, const std::string& content) {
  write_file_atomically(
      path,
      [&](std::ostream& out) { out.write(content.data(), static_cast<std::streamsize>(content.size())); },
      content.size());
}

}  // namespace atrous
