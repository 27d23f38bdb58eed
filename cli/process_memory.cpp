#include "cli/process_memory.h"

#include <malloc.h>
#include <sys/resource.h>

#include <fstream>
#include <sstream>
#include <string>

#include "core/allocator.h"

namespace atrous::cli {
namespace {

// A line of /proc/self/status such as "VmHWM:  1234 kB", in bytes; -1 if there is none.
int64_t status(const std::string& key) {
  std::ifstream file("/proc/self/status");
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with(key + ":")) continue;
    int64_t kib = -1;
    std::istringstream(line.substr(key.size() + 1)) >> kib;
    return kib < 0 ? -1 : 1024 * kib;
  }
  return -1;
}

// Resets the peak (VmHWM): proc(5), clear_refs.
bool forget_peak() {
  std::ofstream file("/proc/self/clear_refs");
  file << "5\n";
  file.close();
  return file.good();
}

}  // namespace

MemoryGrowth::MemoryGrowth() {
  restart();
  before_ = status("VmRSS");
}

void MemoryGrowth::restart() {
  release_cached_memory();
  ::malloc_trim(0);
  known_ = forget_peak();
}

int64_t MemoryGrowth::peak() const {
  const int64_t peak = status("VmHWM");
  return !known_ || before_ < 0 || peak < 0 ? -1 : peak - before_;
}

MemoryTraffic MemoryTraffic::so_far() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return {allocator_stats().system_calls, usage.ru_minflt};
}

MemoryTraffic operator-(const MemoryTraffic& a, const MemoryTraffic& b) {
  return {a.requests - b.requests, a.page_faults - b.page_faults};
}

}  // namespace atrous::cli
