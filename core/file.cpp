#include "core/file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <new>

#include "core/error.h"

namespace atrous {

std::optional<std::string> read_file_if_present(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0 && errno == ENOENT) return std::nullopt;
  const auto check = [&](bool good) {
    ATROUS_CHECK(good, ErrorKind::io,
                 "[read] \"{}\" must be readable. Got: {}. Check the disk and its permissions.", path,
                 std::strerror(errno));
  };
  check(fd >= 0);
  const std::shared_ptr<void> at_end(nullptr, [fd](void*) { ::close(fd); });
  std::string content;
  for (;;) {
    const size_t size = content.size(), step = size_t{1} << 16;
    content.resize(size + step);
    const ssize_t count = ::read(fd, content.data() + size, step);
    content.resize(size + static_cast<size_t>(count > 0 ? count : 0));
    if (count < 0 && errno == EINTR) continue;
    check(count >= 0);
    if (count == 0) return content;
  }
}

void throw_if_no_memory() {
  if (errno == ENOMEM) throw std::bad_alloc();
}

}  // namespace atrous
