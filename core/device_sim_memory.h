// Guarded memory of the simulated device. Private to core; device_sim.h explains the guards.
#pragma once

#include <cstddef>
#include <map>
#include <mutex>
#include <string>

namespace atrous {

class GuardedMemory {
 public:
  // Inaccessible until opened. nullptr beyond `capacity` bytes in total.
  std::byte* map(size_t size, size_t capacity);
  void unmap(std::byte* block);

  // Where `bytes` bytes lie in the block: as near to its end as alignment allows.
  static std::byte* place(std::byte* block, size_t size, size_t bytes);
  // Makes the block accessible, full of poison and surrounded by guards; and inaccessible, having checked the
  // guards.
  void open(std::byte* block, size_t bytes);
  void close(std::byte* block);

  std::string check();        // first damage, also that found by close()
  std::string take_damage();  // damage found by close(), once
  std::string describe(const std::byte* address);
  // The first place that unwritten shared memory has reached, in allocations of up to `largest` bytes; empty
  // if there is none. Becomes an ordinary NaN, so that only the kernel that wrote it is blamed.
  std::string take_shared_poison(size_t largest);

 private:
  struct Block {
    size_t size = 0;    // as requested
    size_t mapped = 0;  // accessible pages, without the inaccessible one on either side
    size_t bytes = 0;   // of the present or last use
    bool in_use = false;
  };
  static std::string damage(const std::byte* block, const Block& b);

  std::mutex mutex_;
  std::map<const std::byte*, Block> blocks_;
  size_t total_ = 0;
  std::string damage_;
};

}  // namespace atrous
