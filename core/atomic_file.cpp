#include "core/atomic_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <memory>
#include <mutex>
#include <ostream>
#include <set>
#include <streambuf>
#include <string_view>
#include <utility>
#include <vector>

#include "core/error.h"
#include "core/problem.h"
#include "core/text.h"

namespace atrous {
namespace {

// A stream onto a file descriptor. Unlike a std file stream it keeps the reason of the first failure and
// gives access to fsync.
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

constexpr std::string_view prefix = ".atrous-";
constexpr std::string_view suffix = ".tmp";

std::string host_name_hash() {
  char host[256] = "";
  ::gethostname(host, sizeof host - 1);
  return fmt::format("{:08x}", hash_of(host));
}

// ".atrous-HOST-PROCESS-TIME-COUNT.tmp", all hexadecimal: short, so that it fits wherever the final name
// does, and used once in the life of a folder.
std::string temporary_name(const std::string& folder) {
  static std::atomic<uint64_t> count{0};
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return fmt::format("{}/{}{}-{:x}-{:x}{:08x}-{:x}{}", folder, prefix, host_name_hash(), ::getpid(),
                     now.tv_sec, now.tv_nsec, count++, suffix);
}

// The host in such a name; empty for any other name.
std::string_view host_of(std::string_view name) {
  if (!name.starts_with(prefix) || !name.ends_with(suffix)) return "";
  name.remove_prefix(prefix.size());
  name.remove_suffix(suffix.size());
  size_t digits = 0, dashes = 0;
  for (const char c : name) {
    const bool digit = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
    if (!digit && (c != '-' || digits == 0)) return "";
    dashes += !digit;
    digits = digit ? digits + 1 : 0;
  }
  return dashes == 3 && digits > 0 ? name.substr(0, name.find('-')) : std::string_view();
}

// A lock may be known to one host only, so what another one left is removed when it is a day old.
bool may_be_removed(int fd, std::string_view host) {
  constexpr time_t day = 24 * 60 * 60;
  struct stat info {};
  if (::fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) return false;
  const bool ours = host == host_name_hash() || info.st_mtime < ::time(nullptr) - day;
  return ours && ::flock(fd, LOCK_EX | LOCK_NB) == 0;
}

bool has_names(int fd) {
  struct stat info {};
  return ::fstat(fd, &info) == 0 && info.st_nlink > 0;
}

// A new file under a temporary name, locked while it is open (see remove_leftovers). Removed at the end
// unless it was renamed.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& folder) {
    while (fd_ < 0) {
      path_ = temporary_name(folder);
      fd_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
      if (fd_ < 0 && errno == EEXIST) continue;
      if (fd_ < 0) {
        error_ = errno;
        return;
      }
      // Another process may take the file for a leftover before it is locked. Where there are no locks,
      // no file is removed.
      const bool refused = ::flock(fd_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
      if (!refused && has_names(fd_)) return;
      ::close(std::exchange(fd_, -1));
    }
  }
  ~TemporaryFile() {
    if (fd_ >= 0 && !renamed_) ::unlink(path_.c_str());
    if (fd_ >= 0) ::close(fd_);
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;

  int fd() const { return fd_; }  // -1: see error()
  int error() const { return error_; }
  bool rename_to(const std::string& path) {
    renamed_ = std::rename(path_.c_str(), path.c_str()) == 0;
    return renamed_;
  }
  int release() { return std::exchange(fd_, -1); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  int fd_ = -1;
  int error_ = 0;
  bool renamed_ = false;
};

std::string folder_of(const std::string& path) {
  const std::filesystem::path parent = std::filesystem::path(path).parent_path();
  return parent.empty() ? "." : parent.string();
}

// Gives the file at `path` the name `keep`, in place of what has that name. A second name first, so that
// `path` is there at any moment; a plain rename where the file system has no hard links.
void keep_old(const std::string& path, const std::string& keep) {
  const int old = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (old < 0 && errno == ENOENT) return;
  if (old >= 0) ::flock(old, LOCK_SH | LOCK_NB);  // its second name is no leftover
  const std::string second = temporary_name(folder_of(keep));
  const bool linked = ::link(path.c_str(), second.c_str()) == 0;
  const int failed = std::rename(linked ? second.c_str() : path.c_str(), keep.c_str()) == 0 ? 0 : errno;
  // If both names were of one file before (a crash right here), rename has done nothing and left `second`.
  if (linked) ::unlink(second.c_str());
  if (old >= 0) ::close(old);
  if (failed) write_failed(keep, failed);
}

// Renaming onto a pipe or a device would replace it.
bool is_written_directly(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) == 0) return S_ISFIFO(info.st_mode) || S_ISCHR(info.st_mode);
  if (errno != ENOENT) write_failed(path, errno);  // such as a name that is too long
  return false;
}

// Calls `write` with a stream onto the descriptor. All of it has been given to the system afterwards.
void write_all_to(int fd, const std::string& path, const std::function<void(std::ostream&)>& write) {
  DescriptorBuffer buffer(fd);
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
}

// The first write into each folder removes leftovers.
void remove_leftovers_once(const std::string& folder) {
  static std::mutex mutex;
  static std::set<std::string> done;
  {
    std::lock_guard lock(mutex);
    if (!done.insert(folder).second) return;
  }
  remove_leftovers(folder);
}

}  // namespace

void write_file_atomically(const std::string& path, const std::function<void(std::ostream&)>& write,
                           uint64_t expected_bytes, const std::string& keep) {
  const std::string folder = folder_of(path);
  const int open_file = open_file_named(path);
  if (open_file >= 0 || is_written_directly(path)) {
    if (open_file == STDOUT_FILENO) std::fflush(stdout);
    const int fd =
        open_file >= 0 ? ::fcntl(open_file, F_DUPFD_CLOEXEC, 0) : ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
    if (fd < 0) write_failed(path, errno);
    const std::shared_ptr<void> at_end(nullptr, [fd](void*) { ::close(fd); });
    return write_all_to(fd, path, write);
  }
  struct statvfs space {};
  if (expected_bytes && ::statvfs(folder.c_str(), &space) == 0) {
    const uint64_t available = static_cast<uint64_t>(space.f_bavail) * space.f_frsize;
    ATROUS_CHECK(available >= expected_bytes, ErrorKind::io,
                 "[write] the disk must have room for \"{}\". Got {} bytes free for a file of {}. The old "
                 "file is unchanged; free some space.",
                 path, available, expected_bytes);
  }
  remove_leftovers_once(folder);
  TemporaryFile temporary(folder);
  if (temporary.fd() < 0) write_failed(path, temporary.error());
  write_all_to(temporary.fd(), path, write);
  // Afterwards closing the file reports no further errors.
  if (::fsync(temporary.fd()) != 0) write_failed(path, errno);
  if (!keep.empty()) keep_old(path, keep);
  if (!temporary.rename_to(path)) write_failed(path, errno);
  sync_folder(folder);
}

void write_file_atomically(const std::string& path, const std::string& content) {
  write_file_atomically(
      path,
      [&](std::ostream& out) { out.write(content.data(), static_cast<std::streamsize>(content.size())); },
      content.size());
}

void remove_leftovers(const std::string& folder) noexcept {
  try {
    std::error_code unreadable;
    for (std::filesystem::directory_iterator entry(folder, unreadable), end; !unreadable && entry != end;
         entry.increment(unreadable)) {
      const std::string name = entry->path().filename().string();
      const std::string_view host = host_of(name);
      if (host.empty()) continue;
      const int fd = ::open(entry->path().c_str(), O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
      if (fd < 0) continue;
      if (may_be_removed(fd, host)) ::unlink(entry->path().c_str());
      ::close(fd);
    }
  } catch (const std::exception&) {  // no memory: they stay for the next time
    no_memory_handled();
  }
}

int open_file_named(const std::string& path) {
  std::error_code none;
  const std::filesystem::path own_files = fmt::format("/proc/{}/fd", ::getpid());
  for (const std::filesystem::path& p :
       {std::filesystem::path(path), std::filesystem::read_symlink(path, none)}) {
    const std::string name = p.filename().string();
    const bool number =
        !name.empty() && name.size() < 9 && name.find_first_not_of("0123456789") == std::string::npos;
    if (number && std::filesystem::canonical(folder_of(p.string()), none) == own_files)
      return std::atoi(name.c_str());
  }
  return -1;
}

int why_not_writable(const std::string& folder) {
  return TemporaryFile(folder).error();
}

int open_unnamed_file(const std::string& folder) {
  TemporaryFile file(folder);
  if (file.fd() < 0) {
    errno = file.error();
    return -1;
  }
  ::unlink(file.path().c_str());
  return file.release();
}

}  // namespace atrous
