// Memory of this process as the system counts it.
#pragma once

#include <cstdint>

namespace atrous::cli {

// The growth of resident memory over what it is now, at its highest: what `atrous bench nets` compares.
class MemoryGrowth {
 public:
  // Gives free memory back to the system first, so that what follows does not live on earlier leftovers.
  MemoryGrowth();
  // Forgets what was highest so far, but not what it started from.
  void restart();
  // Bytes; -1 where the system does not say.
  int64_t peak() const;

 private:
  bool known_ = false;  // whether the system let the peak start afresh
  int64_t before_ = -1;
};

// What a repeated step takes from the system: nothing, once it is steady.
struct MemoryTraffic {
  int64_t requests = 0;     // requests of the allocator that had to take memory from the system
  int64_t page_faults = 0;  // of the whole process, without those that read a disk

  static MemoryTraffic so_far();
};
MemoryTraffic operator-(const MemoryTraffic& a, const MemoryTraffic& b);

}  // namespace atrous::cli
