#include "core/page_heap.h"

#include <catch2/catch.hpp>
#include <cstring>
#include <random>
#include <vector>

using atrous::FreeRanges;
using atrous::NodePool;
using atrous::PageHeap;

namespace {

constexpr size_t page = PageHeap::page;

struct Block {
  std::byte* begin;
  size_t size;
};

Block take(PageHeap& heap, size_t pages, bool& fresh) {
  std::byte* begin = heap.take(pages * page, fresh);
  REQUIRE(begin);
  return {begin, pages * page};
}

}  // namespace

TEST_CASE("Free neighbours become one range, and the smallest that fits is taken") {
  std::byte memory[100];
  NodePool nodes;
  nodes.reserve(6);
  FreeRanges ranges(nodes);
  ranges.insert(memory + 10, 10);
  ranges.insert(memory + 30, 10);
  CHECK(ranges.take(11) == nullptr);
  ranges.insert(memory + 20, 10);  // joins both
  ranges.insert(memory + 60, 25);
  CHECK(ranges.bytes() == 55);
  CHECK(ranges.take(20) == memory + 60);
  CHECK(ranges.take(20) == memory + 10);
  CHECK(ranges.take_range_before(memory + 50) == memory + 50);
  CHECK(ranges.take_range_before(memory + 85) == memory + 80);
  CHECK(ranges.pop() == std::pair(memory + 30, size_t{10}));
  CHECK(ranges.empty());
  CHECK(ranges.bytes() == 0);
}

TEST_CASE("The heap grows only by what its last free range lacks") {
  PageHeap heap;
  bool fresh = false;
  const Block a = take(heap, 3, fresh), b = take(heap, 5, fresh);
  CHECK(fresh);
  CHECK(b.begin == a.begin + a.size);
  heap.give_back(b.begin, b.size);
  CHECK(take(heap, 9, fresh).begin == b.begin);
  CHECK(fresh);
  heap.give_back(a.begin, a.size);
  CHECK(take(heap, 2, fresh).begin == a.begin);
  CHECK_FALSE(fresh);
  CHECK(heap.free_bytes() == page);
}

TEST_CASE("Memory that the heap released can be used again") {
  PageHeap heap;
  bool fresh = false;
  const Block a = take(heap, 300, fresh), b = take(heap, 2, fresh);
  std::memset(a.begin, 7, a.size);
  std::memset(b.begin, 8, b.size);
  heap.give_back(a.begin, a.size);
  heap.release();
  CHECK(heap.free_bytes() == 0);
  CHECK(b.begin[0] == std::byte{8});
  const Block again = take(heap, 300, fresh);
  CHECK(fresh);
  CHECK(again.begin == a.begin);
  CHECK(again.begin[0] == std::byte{0});  // of the system: it really had gone back
}

TEST_CASE("More than the machine has is refused, and the heap goes on") {
  PageHeap heap;
  bool fresh = false;
  const Block a = take(heap, 1, fresh);
  heap.give_back(a.begin, a.size);
  CHECK(heap.take(size_t{1} << 46, fresh) == nullptr);
  CHECK(take(heap, 1, fresh).begin == a.begin);
  CHECK_FALSE(fresh);
}

TEST_CASE("Blocks in use never overlap") {
  PageHeap heap;
  std::mt19937 random(1);
  std::vector<Block> blocks;
  bool fresh = false;
  for (int step = 0; step < 4000; ++step) {
    if (blocks.size() < 40 || random() % 2) {
      const Block b = take(heap, 1 + random() % 50, fresh);
      for (const Block& other : blocks)
        REQUIRE((b.begin + b.size <= other.begin || other.begin + other.size <= b.begin));
      blocks.push_back(b);
    } else {
      const size_t i = random() % blocks.size();
      heap.give_back(blocks[i].begin, blocks[i].size);
      blocks[i] = blocks.back();
      blocks.pop_back();
    }
    if (step % 1000 == 999) heap.release();
  }
  for (const Block& b : blocks) heap.give_back(b.begin, b.size);
  heap.release();
  CHECK(heap.free_bytes() == 0);
}
