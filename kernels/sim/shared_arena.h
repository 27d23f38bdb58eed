// Shared memory of one simulated block: poisoned at the start, guard bands around every variable.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace atrous::simulator {

// Fills with shared_poison (sim.h).
void fill_poison(void* memory, size_t bytes);

class SharedArena {
 public:
  ~SharedArena() { unmap(); }
  void set_dynamic_bytes(size_t bytes) { dynamic_bytes_ = bytes; }
  size_t dynamic_bytes() const { return dynamic_bytes_; }
  // Removes all variables and poisons all memory that was used before.
  void start_block();
  // The variable `tag`; nullptr if static shared memory, or static and dynamic together, are used up.
  void* variable(const void* tag, size_t bytes, size_t alignment);
  void* dynamic() { return memory_ + guard; }
  bool contains(const void* address, size_t bytes) const;
  // Describes writes outside of the variables; empty if there are none.
  std::string damage() const;
  // Gives the memory back, so that the next block starts on fresh pages.
  void unmap();

 private:
  static constexpr size_t guard = 1024;  // before dynamic shared memory; also its alignment
  static constexpr size_t band = 256;    // after each variable
  struct Variable {
    const void* tag;
    size_t offset;
    size_t bytes;
  };
  void paint_guard(size_t begin, size_t end);

  std::byte* memory_ = nullptr;
  size_t dynamic_bytes_ = 0;
  size_t used_ = 0;  // end of the last guard band
  size_t static_bytes_ = 0;
  std::vector<Variable> variables_;
};

}  // namespace atrous::simulator
