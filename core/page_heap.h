// Memory for large blocks out of one range of addresses.
//
// Blocks lie side by side and are cut to measure; free neighbours become one, and a request takes the
// smallest free range that it fits, at the lowest address. So what is resident stays close to what was in use
// at most, whatever the mix of sizes: a list of free blocks per size would keep the sum over sizes of what
// each needed at most.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <utility>
#include <vector>

namespace atrous {

// The nodes of trees. Only reserve() takes memory from the system, so what frees never needs any.
class NodePool {
 public:
  static constexpr size_t node_size = 64;
  // Ensures that at least `count` nodes are free. Throws std::bad_alloc.
  void reserve(size_t count);
  void* take();
  void give_back(void* node);

 private:
  struct Free {
    Free* next;
  };
  Free* first_ = nullptr;
  size_t free_ = 0;
  std::vector<std::unique_ptr<std::byte[]>> chunks_;
};

// The allocator of a std::map or std::set whose nodes are in a pool.
template <class T>
struct NodeAllocator {
  using value_type = T;
  NodePool* pool;
  NodeAllocator(NodePool& p) : pool(&p) {}
  template <class U>
  NodeAllocator(const NodeAllocator<U>& other) : pool(other.pool) {}
  T* allocate(size_t) {
    static_assert(sizeof(T) <= NodePool::node_size);
    return static_cast<T*>(pool->take());
  }
  void deallocate(T* node, size_t) { pool->give_back(node); }
  bool operator==(const NodeAllocator&) const = default;
};

// Ranges of addresses by address and by size; those that touch are merged. Each has two nodes in the pool.
class FreeRanges {
 public:
  explicit FreeRanges(NodePool& nodes) : by_address_(nodes), by_size_(nodes) {}
  // Needs two nodes if no neighbour is free.
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
  using ByAddress =
      std::map<std::byte*, size_t, std::less<>, NodeAllocator<std::pair<std::byte* const, size_t>>>;
  using BySize =
      std::set<std::pair<size_t, std::byte*>, std::less<>, NodeAllocator<std::pair<size_t, std::byte*>>>;
  void erase(ByAddress::iterator range);

  ByAddress by_address_;
  BySize by_size_;
  size_t bytes_ = 0;
};

// Not thread-safe. One for the whole program: it keeps its addresses for good.
class PageHeap {
 public:
  static constexpr size_t page = 4096;

  // `size` is a multiple of `page`; the block is aligned to it. Null if the system has no more. `fresh`
  // becomes true if any of it has to come from the system.
  std::byte* take(size_t size, bool& fresh);
  // Takes no memory, and neither does release(): take() has reserved what they need.
  void give_back(std::byte* block, size_t size);
  // Gives the memory of all free ranges to the system; the addresses stay.
  void release();
  // Free memory that is still held.
  size_t free_bytes() const { return warm_.bytes(); }

 private:
  void reserve();
  std::byte* take_from_top(size_t size);
  bool make_usable(std::byte* end);

  NodePool nodes_;
  size_t in_use_ = 0;                       // blocks; each may become a free range
  FreeRanges warm_{nodes_}, cold_{nodes_};  // free below top_; the system has the memory of the cold ones
  // The reserved addresses. [begin, usable_) may be touched; above top_ nothing is in use.
  std::byte *top_ = nullptr, *usable_ = nullptr, *end_ = nullptr;
};

}  // namespace atrous
