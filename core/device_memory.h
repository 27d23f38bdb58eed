// Caches between Tensor and a device's memory. Private to core.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "core/device_backend.h"

namespace atrous {

// A block of device memory, from the system.
struct DeviceBlock {
  std::byte* begin;
  size_t size;
  DeviceBlock* next = nullptr;  // of the free blocks of its size
};

// Free blocks of one stream, or of one graph: a graph keeps the blocks it was captured with, because every
// replay uses them again. When the stream or graph is gone, its blocks go to `heir`. Freeing takes no memory:
// blocks are linked, and a size gets its entry when its first block is requested.
struct Arena {
  std::map<size_t, DeviceBlock*> free_blocks;  // by size class
  std::shared_ptr<Arena> heir;
  bool capturing = false;  // its graph is being captured
};

// Blocks freed on a stream are handed out again on that stream without waiting: the new user's work is queued
// behind the old user's. Other streams never get them, so the end of a kernel need not be tracked.
class BlockCache {
 public:
  BlockCache(Device device, DeviceBackend& backend) : device_(device), backend_(backend) {}

  // `graph` is the arena of the graph being captured on the stream, if any: then no block may come from the
  // system.
  std::shared_ptr<std::byte> allocate(size_t bytes, const Stream& stream,
                                      const std::shared_ptr<Arena>& graph);
  void stream_ended(void* stream, void* default_stream) noexcept;
  void graph_ended(const std::shared_ptr<Arena>& graph, void* stream) noexcept;

  AllocatorStats stats() const;
  void reset_peak();
  void release_cache();

 private:
  struct Use;  // of one block by one tensor
  std::shared_ptr<Arena>& arena_of(void* stream);
  DeviceBlock* take(Arena& arena, size_t size);
  DeviceBlock* from_system(size_t bytes, size_t size);
  void drop_cache();
  void release(const Use& use) noexcept;
  void put_back(Arena* arena, DeviceBlock* block) noexcept;
  static void bequeath(Arena& from, const std::shared_ptr<Arena>& to) noexcept;

  Device device_;
  DeviceBackend& backend_;
  mutable std::recursive_mutex mutex_;              // waiting for the device may run work that frees tensors
  std::map<void*, std::shared_ptr<Arena>> arenas_;  // by stream
  AllocatorStats stats_;
};

// Page-locked host blocks. A copy may still be under way when its block is freed, so a block remembers the
// events after its copies and is handed out again when they have passed.
class PinnedCache {
 public:
  explicit PinnedCache(DeviceBackend& backend) : backend_(backend) {}
  std::shared_ptr<std::byte> allocate(size_t bytes, bool capturing);
  // The pinned block that holds the address, alive, or nullptr if the address is pageable.
  std::shared_ptr<std::byte> find(const void* address);
  void used_until(const std::byte* block, Event event);

 private:
  struct Block {
    size_t size = 0;
    bool free = false;
    std::weak_ptr<std::byte> user{};
    std::vector<Event> uses{};
  };
  DeviceBackend& backend_;
  std::mutex mutex_;
  std::map<const std::byte*, Block> blocks_;
};

}  // namespace atrous
