#include "harness.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <map>
#include <typeinfo>
#include <vector>

#include "core/tensor.h"
#ifdef ATROUS_FUZZ
#include <sanitizer/allocator_interface.h>
#endif

namespace fuzz {
namespace {

Counts total;

}  // namespace

void finding(const std::string& property) {
  std::fprintf(stderr, "FINDING: %s\n", property.c_str());
  std::abort();
}

bool accepts(std::initializer_list<atrous::ErrorKind> kinds, const std::function<void()>& read) {
  try {
    read();
    ++total.accepted;
    return true;
  } catch (const atrous::Error& e) {
    bool promised = false;
    for (const atrous::ErrorKind kind : kinds) promised |= kind == e.kind();
    if (!promised) finding(fmt::format("an Error of kind {} is not promised: {}", e.exit_code(), e.what()));
    if (std::strlen(e.what()) > 100000) finding("the message of an Error repeats its input without limit");
  } catch (const std::exception& e) {
    finding(fmt::format("only atrous::Error may be thrown, got {}: {}", typeid(e).name(), e.what()));
  }
  ++total.refused;
  return false;
}

Counts counts() {
  return total;
}

const std::string& file_with(Bytes bytes, const char* name) {
  static std::map<std::string, std::string> paths;
  std::string& path = paths[name];
  if (path.empty()) {
    const char* folder = ::access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    path = fmt::format("{}/atrous_fuzz_{}_{}", folder, ::getpid(), name);
    std::atexit([] {
      for (const auto& [unused, file] : paths) ::unlink(file.c_str());
    });
  }
  const int file = ::open(path.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
  const bool written =
      file >= 0 && ::write(file, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size());
  if (!written) finding("the harness cannot write " + path);
  ::close(file);
  return path;
}

#ifdef ATROUS_FUZZ
namespace {

int stain = -1;

void on_malloc(const volatile void* block, size_t size) {
  // Larger blocks of calloc are fresh mappings that the sanitizer does not clear itself after this.
  if (stain >= 0 && size <= (size_t{1} << 17)) std::memset(const_cast<void*>(block), stain, size);
}
void on_free(const volatile void*) {}

}  // namespace

Stain::Stain(uint8_t byte) {
  static const int installed = __sanitizer_install_malloc_and_free_hooks(on_malloc, on_free);
  require(installed > 0, "the harness could not watch the allocations");
  stain = byte;
}
Stain::~Stain() {
  stain = -1;
}
#else
Stain::Stain(uint8_t byte) {
  std::vector<atrous::Tensor> blocks;
  for (int64_t size = 256; size <= int64_t{1} << 18; size += size / 8) {
    for (int copies = 0; copies < 2; ++copies) {
      blocks.push_back(atrous::Tensor::empty({size}, atrous::DType::u8));
      std::memset(blocks.back().raw(), byte, static_cast<size_t>(size));
    }
  }
}
Stain::~Stain() = default;
#endif

}  // namespace fuzz
