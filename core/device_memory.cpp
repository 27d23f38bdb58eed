#include "core/device_memory.h"

#include <algorithm>

#include "core/error.h"

namespace atrous {

struct BlockCache::Use {
  BlockCache* cache;
  std::byte* block;
  size_t size;
  Stream stream;  // keeps the stream alive as long as its blocks are in use
  std::shared_ptr<Arena> arena;
  void operator()(std::byte*) const noexcept { cache->release(*this); }
};

std::shared_ptr<Arena>& BlockCache::arena_of(void* stream) {
  std::shared_ptr<Arena>& arena = arenas_[stream];
  if (!arena) arena = std::make_shared<Arena>();
  return arena;
}

std::byte* BlockCache::take(Arena& arena, size_t size) {
  auto it = arena.free_blocks.find(size);
  if (it == arena.free_blocks.end() || it->second.empty()) return nullptr;
  std::byte* block = it->second.back();
  it->second.pop_back();
  stats_.bytes_cached -= static_cast<int64_t>(size);
  return block;
}

std::byte* BlockCache::from_system(size_t bytes, size_t size) {
  std::byte* block = backend_.map_block(size);
  if (!block && stats_.bytes_cached > 0) {
    drop_cache();
    block = backend_.map_block(size);
  }
  if (!block) {
    fail(ErrorKind::memory,
         "[memory] device {} has no memory left. Got a request for {} bytes while {} of its {} bytes are in "
         "use by tensors (peak {}) and {} are kept for graphs. Use a smaller batch, crop or network, or end "
         "other "
         "programs on the device.",
         name_of(device_), bytes, stats_.bytes_in_use, backend_.properties().total_memory, stats_.peak_in_use,
         stats_.bytes_cached);
  }
  ++stats_.system_calls;
  return block;
}

std::shared_ptr<std::byte> BlockCache::allocate(size_t bytes, const Stream& stream,
                                                const std::shared_ptr<Arena>& graph) {
  ATROUS_CHECK(bytes < (size_t{1} << 48), ErrorKind::memory,
               "[memory] one tensor must stay below 2^48 bytes. Got {}. Use a smaller batch or tile.", bytes);
  const size_t size = allocation_class(bytes);
  std::byte* block = nullptr;
  std::shared_ptr<Arena> owner;
  {
    std::lock_guard lock(mutex_);
    ++stats_.allocations;
    const std::shared_ptr<Arena>& of_stream = arena_of(stream.handle());
    owner = graph ? graph : of_stream;
    block = take(*owner, size);
    if (!block && graph) block = take(*of_stream, size);
    if (!block) {
      ATROUS_CHECK(
          !graph, ErrorKind::internal,
          "[graph] memory cannot be taken from the system while a graph is captured. Got a request for {} "
          "bytes that the cache cannot serve. Run the work once on the same stream before capturing it.",
          bytes);
      block = from_system(bytes, size);
    }
    stats_.bytes_in_use += static_cast<int64_t>(size);
    stats_.peak_in_use = std::max(stats_.peak_in_use, stats_.bytes_in_use);
  }
  std::byte* first = backend_.open_block(block, size, bytes, stream.handle());
  return std::shared_ptr<std::byte>(first, Use{this, block, size, stream, owner});
}

void BlockCache::release(const Use& use) noexcept {
  backend_.close_block(use.block, use.size, use.stream.handle(), use.arena->capturing);
  std::lock_guard lock(mutex_);
  Arena* arena = use.arena.get();
  while (arena->heir) arena = arena->heir.get();
  arena->free_blocks[use.size].push_back(use.block);
  stats_.bytes_in_use -= static_cast<int64_t>(use.size);
  stats_.bytes_cached += static_cast<int64_t>(use.size);
}

void BlockCache::bequeath(Arena& from, const std::shared_ptr<Arena>& to) {
  for (auto& [size, blocks] : from.free_blocks) {
    std::vector<std::byte*>& mine = to->free_blocks[size];
    mine.insert(mine.end(), blocks.begin(), blocks.end());
  }
  from.free_blocks.clear();
  from.heir = to;
}

void BlockCache::stream_ended(void* stream, void* default_stream) {
  std::lock_guard lock(mutex_);
  auto it = arenas_.find(stream);
  if (it == arenas_.end() || stream == default_stream) return;
  const std::shared_ptr<Arena> arena = it->second;
  arenas_.erase(it);
  bequeath(*arena, arena_of(default_stream));
}

void BlockCache::graph_ended(const std::shared_ptr<Arena>& graph, void* stream) {
  std::lock_guard lock(mutex_);
  bequeath(*graph, arena_of(stream));
}

// Blocks of graphs stay: their arenas are not in arenas_.
void BlockCache::drop_cache() {
  backend_.synchronize_device();
  for (auto& [stream, arena] : arenas_) {
    for (auto& [size, blocks] : arena->free_blocks) {
      for (std::byte* block : blocks) {
        backend_.unmap_block(block, size);
        stats_.bytes_cached -= static_cast<int64_t>(size);
      }
    }
    arena->free_blocks.clear();
  }
}

AllocatorStats BlockCache::stats() const {
  std::lock_guard lock(mutex_);
  return stats_;
}

void BlockCache::reset_peak() {
  std::lock_guard lock(mutex_);
  stats_.peak_in_use = stats_.bytes_in_use;
}

void BlockCache::release_cache() {
  std::lock_guard lock(mutex_);
  drop_cache();
}

std::shared_ptr<std::byte> PinnedCache::allocate(size_t bytes, bool capturing) {
  const size_t size = allocation_class(bytes);
  std::lock_guard lock(mutex_);
  auto reusable = [&](auto& entry) {
    Block& b = entry.second;
    if (!b.free || b.size != size) return false;
    if (!capturing)
      std::erase_if(b.uses, [](const Event& e) { return e.done(); });  // no questions while capturing
    return b.uses.empty();
  };
  auto it = std::find_if(blocks_.begin(), blocks_.end(), reusable);
  if (it == blocks_.end()) {
    ATROUS_CHECK(
        !capturing, ErrorKind::internal,
        "[graph] page-locked memory cannot be taken from the system while a graph is captured. Got a "
        "request for {} bytes. Allocate it before the capture.",
        bytes);
    std::byte* fresh = backend_.map_pinned(size);
    ATROUS_CHECK(fresh, ErrorKind::memory,
                 "[memory] the system has no page-locked memory left. Got a request for {} bytes. Use fewer "
                 "loader workers or a smaller batch.",
                 bytes);
    it = blocks_.emplace(fresh, Block{.size = size}).first;
  }
  it->second.free = false;
  auto release = [this](std::byte* p) {
    std::lock_guard relock(mutex_);
    blocks_.at(p).free = true;
  };
  std::shared_ptr<std::byte> user(const_cast<std::byte*>(it->first), release);
  it->second.user = user;
  return user;
}

std::shared_ptr<std::byte> PinnedCache::find(const void* address) {
  const auto* p = static_cast<const std::byte*>(address);
  std::lock_guard lock(mutex_);
  auto it = blocks_.upper_bound(p);
  if (it == blocks_.begin()) return nullptr;
  --it;
  return p < it->first + it->second.size ? it->second.user.lock() : nullptr;
}

void PinnedCache::used_until(const std::byte* block, Event event) {
  std::lock_guard lock(mutex_);
  std::vector<Event>& uses = blocks_.at(block).uses;
  std::erase_if(uses, [](const Event& e) { return e.done(); });
  uses.push_back(std::move(event));
}

}  // namespace atrous
