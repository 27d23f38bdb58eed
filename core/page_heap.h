// Memory for large blocks out of one range of addresses.
//
// Blocks lie side by side and are cut to measure; free neighbours become one, and a request takes the
// smallest free range that it fits, at the lowest address. So what is resident stays close to what was in use
// at most, whatever the mix of sizes: a list of free blocks per size would keep the sum over sizes of what
// each needed at most.
#pragma once

#include <cstddef>
#include <map>
#include <set>
#include <utility>

namespace atrous {

// Ranges of addresses by address and by size; those that touch are merged.
class FreeRanges {
 public:
  void insert(std::byte* begin, size_t size);
  // Cuts `size` bytes off the front of the smallest range that has them, the lowest of several; null: none.
  std::byte* take(size_t size);
  // Takes out the range that ends there and returns its begin; `end` itself if there is none.
  std::byte* take_range_before(std::byte* end);
  size_t bytes() const { return bytes_; }
  bool empty() const { return by_address_.empty(); }
  // The range of the lowest address, taken out.
  std::pair<std::byte*, size_t> pop();

 private:
  using ByAddress = std::map<std::byte*, size_t>;
  void erase(ByAddress::iterator range);

  ByAddress by_address_;
  std::set<std::pair<size_t, std::byte*>> by_size_;
  size_t bytes_ = 0;
};

// Not thread-safe. One for the whole program: it keeps its addresses for good.
class PageHeap {
 public:
  static constexpr size_t page = 4096;

  // `size` is a multiple of `page`; the block is aligned to it. Null if the system has no more. `fresh` tells
  // whether any of it has to come from the system.
  std::byte* take(size_t size, bool& fresh);
  void give_back(std::byte* block, size_t size) { warm_.insert(block, size); }
  // Gives the memory of all free ranges to the system; the addresses stay.
  void release();
  // Free memory that is still held.
  size_t free_bytes() const { return warm_.bytes(); }

 private:
  void reserve();
  bool make_usable(std::byte* end);

  FreeRanges warm_, cold_;  // free below top_; the system has the memory of the cold ones
  // The reserved addresses. [begin, usable_) may be touched; above top_ nothing is in use.
  std::byte *top_ = nullptr, *usable_ = nullptr, *end_ = nullptr;
};

}  // namespace atrous
