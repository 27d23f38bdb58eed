#include "core/page_heap.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <new>

#include "core/error.h"

namespace atrous {
namespace {

constexpr size_t huge_page = size_t{2} << 20;

size_t round_up(size_t value, size_t unit) {
  return (value + unit - 1) / unit * unit;
}

}  // namespace

void NodePool::reserve(size_t count) {
  constexpr size_t nodes = 64;
  while (free_ < count) {
    std::byte* const chunk = chunks_.emplace_back(std::make_unique<std::byte[]>(nodes * node_size)).get();
    for (size_t i = 0; i < nodes; ++i) give_back(chunk + i * node_size);
  }
}

void* NodePool::take() {
  ATROUS_ASSERT(first_);
  --free_;
  return std::exchange(first_, first_->next);
}

void NodePool::give_back(void* node) {
  first_ = new (node) Free{first_};
  ++free_;
}

void FreeRanges::erase(ByAddress::iterator range) {
  bytes_ -= range->second;
  by_size_.erase({range->second, range->first});
  by_address_.erase(range);
}

void FreeRanges::insert(std::byte* begin, size_t size) {
  auto next = by_address_.lower_bound(begin);
  if (next != by_address_.end() && next->first == begin + size) {
    size += next->second;
    erase(next++);
  }
  if (next != by_address_.begin()) {
    const auto previous = std::prev(next);
    if (previous->first + previous->second == begin) {
      begin = previous->first;
      size += previous->second;
      erase(previous);
    }
  }
  by_address_.emplace(begin, size);
  by_size_.emplace(size, begin);
  bytes_ += size;
}

std::byte* FreeRanges::take(size_t size) {
  const auto fit = by_size_.lower_bound({size, nullptr});
  if (fit == by_size_.end()) return nullptr;
  const auto [range_size, begin] = *fit;
  erase(by_address_.find(begin));
  if (range_size > size) insert(begin + size, range_size - size);
  return begin;
}

std::byte* FreeRanges::take_range_before(std::byte* end) {
  if (by_address_.empty()) return end;
  const auto last = std::prev(by_address_.end());
  if (last->first + last->second != end) return end;
  std::byte* const begin = last->first;
  erase(last);
  return begin;
}

std::pair<std::byte*, size_t> FreeRanges::pop() {
  const std::pair<std::byte*, size_t> range = *by_address_.begin();
  erase(by_address_.begin());
  return range;
}

// Reserved addresses cost nothing until they are made usable. Several times the memory of the machine,
// because cold ranges leave holes; less where the limits of the process are lower.
void PageHeap::reserve() {
  constexpr size_t least = size_t{1} << 28;
  const auto machine =
      static_cast<size_t>(::sysconf(_SC_PHYS_PAGES)) * static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  for (size_t size = round_up(std::max(4 * machine, least), huge_page); size >= least;
       size = round_up(size / 2, huge_page)) {
    void* range = ::mmap(nullptr, size + huge_page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (range == MAP_FAILED) continue;
#ifdef MADV_HUGEPAGE
    // Activations are read in strides of many pages, which with 4 KiB pages are bound by address translation.
    // Advice: may be ignored.
    ::madvise(range, size + huge_page, MADV_HUGEPAGE);
#endif
    top_ = reinterpret_cast<std::byte*>(round_up(reinterpret_cast<size_t>(range), huge_page));
    usable_ = top_;
    end_ = top_ + size;
    return;
  }
}

// In steps: the system's bookkeeping takes longer than that of the heap.
bool PageHeap::make_usable(std::byte* end) {
  if (end <= usable_) return true;
  if (end > end_) return false;
  const auto room = static_cast<size_t>(end_ - usable_), needed = static_cast<size_t>(end - usable_);
  for (size_t step : {size_t{64} << 20, huge_page}) {
    const size_t size = std::min(room, round_up(needed, step));
    if (::mprotect(usable_, size, PROT_READ | PROT_WRITE) != 0) continue;
    usable_ += size;
    return true;
  }
  return false;
}

std::byte* PageHeap::take(size_t size, bool& fresh) {
  if (!end_) reserve();
  nodes_.reserve(2 * (in_use_ + 1));
  fresh = false;
  std::byte* block = warm_.take(size);
  if (!block) {
    fresh = true;
    block = cold_.take(size);
  }
  if (!block) block = take_from_top(size);
  in_use_ += block != nullptr;
  return block;
}

std::byte* PageHeap::take_from_top(size_t size) {
  std::byte* const block = warm_.take_range_before(top_);
  if (size > static_cast<size_t>(end_ - block) || !make_usable(block + size)) {
    if (block != top_) warm_.insert(block, static_cast<size_t>(top_ - block));
    return nullptr;
  }
  top_ = block + size;
  return block;
}

void PageHeap::give_back(std::byte* block, size_t size) {
  warm_.insert(block, size);
  --in_use_;
}

void PageHeap::release() {
  while (!warm_.empty()) {
    const auto [begin, size] = warm_.pop();
    ::madvise(begin, size, MADV_DONTNEED);
    cold_.insert(begin, size);
  }
  if (end_) top_ = cold_.take_range_before(top_);
}

}  // namespace atrous
