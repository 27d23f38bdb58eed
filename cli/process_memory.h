// Memory of this process as the system counts it.
#pragma once

#include <cstdint>

namespace atrous::cli {

// The peak of resident memory from now on, minus its present value: what `atrous bench nets` compares.
class MemoryGrowth {
 public:
  // Returns free memory to the system first, so that later work does not reuse it unnoticed.
  MemoryGrowth();
  // Resets the peak, but not the value from which growth is counted.
  void restart();
  // Bytes; -1 if the system does not provide it.
  int64_t peak() const;

 private:
  bool known_ = false;  // whether the system allowed the reset
  int64_t before_ = -1;
};

// Allocations of a repeated step from the system: none after the first few steps.
struct MemoryTraffic {
  int64_t requests = 0;     // requests of the allocator that had to take memory from the system
  int64_t page_faults = 0;  // of the whole process, without those that read a disk

  static MemoryTraffic so_far();
};
MemoryTraffic operator-(const MemoryTraffic& a, const MemoryTraffic& b);

}  // namespace atrous::cli
