#include "core/device_memory.h"

#include <algorithm>

#include "core/error.h"

namespace atrous {

struct BlockCache::Use {
  BlockCache* cache;
  DeviceBlock* block;
  Stream stream;  // keeps the stream alive as long as its blocks are in use
  std::shared_ptr<Arena> arena;
  void operator()(std::byte*) const noexcept { cache->release(*this); }
};

std::shared_ptr<Arena>& BlockCache::arena_of(void* stream) {
  std::shared_ptr<Arena>& arena = arenas_[stream];
  if (!arena) arena = std::make_shared<Arena>();
  return arena;
}

DeviceBlock* BlockCache::take(Arena& arena, size_t size) {
  DeviceBlock*& first = arena.free_blocks[size];
  if (!first) return nullptr;
  stats_.bytes_cached -= static_cast<int64_t>(size);
  DeviceBlock* const block = std::exchange(first, first->next);
  block->next = nullptr;
  return block;
}

DeviceBlock* BlockCache::from_system(size_t bytes, size_t size) {
  auto block = std::make_unique<DeviceBlock>(DeviceBlock{backend_.map_block(size), size});
  if (!block->begin && stats_.bytes_cached > 0) {
    drop_cache();
    block->begin = backend_.map_block(size);
  }
  if (!block->begin) {
    fail(ErrorKind::memory,
         "[memory] device {} has no memory left. Got a request for {} bytes while {} of its {} bytes are in "
         "use by tensors (peak {}) and {} are kept for graphs. {}",
         name_of(device_), bytes, stats_.bytes_in_use, backend_.properties().total_memory, stats_.peak_in_use,
         stats_.bytes_cached,
         2 * (static_cast<uint64_t>(stats_.bytes_in_use) + bytes) > backend_.properties().total_memory
             ? "Use a smaller batch, crop or network."
             : "Tensors use little of it: end other programs on the device.");
  }
  ++stats_.system_calls;
  return block.release();
}

std::shared_ptr<std::byte> BlockCache::allocate(size_t bytes, const Stream& stream,
                                                const std::shared_ptr<Arena>& graph) {
  ATROUS_CHECK(bytes < (size_t{1} << 48), ErrorKind::memory,
               "[memory] one tensor must stay below 2^48 bytes. Got {}. Use a smaller batch or tile.", bytes);
  const size_t size = allocation_class(bytes);
  DeviceBlock* block = nullptr;
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
  std::byte* first = nullptr;
  try {
    first = backend_.open_block(block->begin, size, bytes, stream.handle());
  } catch (...) {
    put_back(owner.get(), block);
    throw;
  }
  return std::shared_ptr<std::byte>(first, Use{this, block, stream, owner});
}

void BlockCache::release(const Use& use) noexcept {
  backend_.close_block(use.block->begin, use.block->size, use.stream.handle(), use.arena->capturing);
  put_back(use.arena.get(), use.block);
}

void BlockCache::put_back(Arena* arena, DeviceBlock* block) noexcept {
  std::lock_guard lock(mutex_);
  while (arena->heir) arena = arena->heir.get();
  DeviceBlock*& first = arena->free_blocks.find(block->size)->second;
  block->next = std::exchange(first, block);
  stats_.bytes_in_use -= static_cast<int64_t>(block->size);
  stats_.bytes_cached += static_cast<int64_t>(block->size);
}

void BlockCache::bequeath(Arena& from, const std::shared_ptr<Arena>& to) noexcept {
  to->free_blocks.merge(from.free_blocks);  // also entries without free blocks: some may be in use
  for (auto& [size, blocks] : from.free_blocks) {
    DeviceBlock*& mine = to->free_blocks.find(size)->second;
    while (blocks) {
      DeviceBlock* const block = std::exchange(blocks, blocks->next);
      block->next = std::exchange(mine, block);
    }
  }
  from.free_blocks.clear();
  from.heir = to;
}

void BlockCache::stream_ended(void* stream, void* default_stream) noexcept {
  std::lock_guard lock(mutex_);
  if (stream == default_stream) return;
  auto ended = arenas_.extract(stream);
  if (!ended) return;
  if (const auto heir = arenas_.find(default_stream); heir != arenas_.end()) {
    bequeath(*ended.mapped(), heir->second);
  } else {
    ended.key() = default_stream;
    arenas_.insert(std::move(ended));
  }
}

// A graph that holds blocks has allocated on its stream, which then has an arena, and keeps the stream alive.
void BlockCache::graph_ended(const std::shared_ptr<Arena>& graph, void* stream) noexcept {
  std::lock_guard lock(mutex_);
  if (const auto heir = arenas_.find(stream); heir != arenas_.end()) bequeath(*graph, heir->second);
}

// Blocks of graphs stay: their arenas are not in arenas_.
void BlockCache::drop_cache() {
  backend_.synchronize_device();
  for (auto& [stream, arena] : arenas_) {
    for (auto& [size, blocks] : arena->free_blocks) {
      while (blocks) {
        const std::unique_ptr<DeviceBlock> block(std::exchange(blocks, blocks->next));
        backend_.unmap_block(block->begin, size);
        stats_.bytes_cached -= static_cast<int64_t>(size);
      }
    }
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
      std::erase_if(b.uses, [](const Event& e) { return e.done(); });  // no queries while capturing
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
