// The order in which loaders read samples, and a cache of the samples within a memory limit. Internal to
// data/.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <vector>

namespace atrous::data::internal {

// Streams of random numbers, separate from each other and from those of the model.
inline constexpr uint64_t shuffle_stream = 0x73687566666c65;  // "shuffle"
inline constexpr uint64_t augment_stream = 0x6175676d656e74;  // "augment"

// The permutation of 0 .. n - 1 in which an epoch reads its samples.
std::vector<int64_t> shuffled_order(int64_t n, uint64_t seed, int64_t epoch);

// Per-epoch values (its order, its batches), made once and kept while workers may still need them.
template <class Value>
class PerEpoch {
 public:
  explicit PerEpoch(std::function<Value(int64_t epoch)> make) : make_(std::move(make)) {}

  // f(value of the epoch), under the lock.
  template <class F>
  auto with(int64_t epoch, F&& f) {
    std::lock_guard lock(mutex_);
    auto [found, inserted] = values_.try_emplace(epoch);
    if (inserted) found->second = make_(epoch);
    // Batches are made in order and few at a time; an older epoch that is needed after all is made again.
    while (values_.size() > kept && values_.begin()->first < epoch) values_.erase(values_.begin());
    return f(values_.at(epoch));
  }

 private:
  static constexpr size_t kept = 4;
  std::function<Value(int64_t)> make_;
  std::mutex mutex_;
  std::map<int64_t, Value> values_;
};

// Samples as decoded and resized, until the byte limit is reached. Samples that do not fit are reloaded each
// time: with a shuffled order no replacement policy would do better. Thread-safe.
template <class Sample>
class SampleCache {
 public:
  // bytes_of(sample) returns the bytes that keeping a sample takes.
  SampleCache(int64_t size, int64_t limit_mb, std::function<Sample(int64_t)> load,
              std::function<int64_t(const Sample&)> bytes_of)
      : load_(std::move(load)),
        bytes_of_(std::move(bytes_of)),
        slots_(static_cast<size_t>(size)),
        room_(limit_mb << 20) {}

  Sample get(int64_t index) {
    Sample& slot = slots_[static_cast<size_t>(index)];
    {
      std::lock_guard lock(mutex_);
      if (slot.image.defined()) return slot;
    }
    Sample sample = load_(index);
    const int64_t bytes = bytes_of_(sample);
    std::lock_guard lock(mutex_);
    if (!slot.image.defined() && bytes <= room_) {
      slot = sample;
      room_ -= bytes;
    }
    return sample;
  }

 private:
  const std::function<Sample(int64_t)> load_;
  const std::function<int64_t(const Sample&)> bytes_of_;
  std::mutex mutex_;
  std::vector<Sample> slots_;
  int64_t room_;
};

}  // namespace atrous::data::internal
