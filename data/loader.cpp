#include "data/loader.h"

#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <map>
#include <mutex>
#include <numeric>
#include <system_error>
#include <thread>

#include "data/augment_internal.h"

namespace atrous::data {
namespace {

// Streams of random numbers, apart from each other and from those of the model.
constexpr uint64_t shuffle_stream = 0x73687566666c65;  // "shuffle"
constexpr uint64_t augment_stream = 0x6175676d656e74;  // "augment"

// Samples as decoded and resized, until the byte limit is reached. What does not fit is loaded anew each
// time: with a shuffled order no replacement policy would do better.
class SampleCache {
 public:
  SampleCache(const Dataset& dataset, const DataOptions& options)
      : dataset_(dataset),
        options_(options),
        slots_(static_cast<size_t>(dataset.size())),
        room_(options.cache_mb << 20) {}

  Sample get(int64_t index) {
    auto& slot = slots_[static_cast<size_t>(index)];
    {
      std::lock_guard lock(mutex_);
      if (slot.image.defined()) return slot;
    }
    Sample sample = resize_sample(dataset_.load(index), options_.image_height, options_.image_width, true);
    const auto bytes =
        static_cast<int64_t>(sample.image.bytes() + (sample.label.defined() ? sample.label.bytes() : 0));
    std::lock_guard lock(mutex_);
    if (!slot.image.defined() && bytes <= room_) {
      slot = sample;
      room_ -= bytes;
    }
    return sample;
  }

 private:
  const Dataset& dataset_;
  const DataOptions& options_;
  std::mutex mutex_;
  std::vector<Sample> slots_;
  int64_t room_;
};

// (x - mean) / std of dense pixels. The statistics are laid out once per pixel of a block, so that the inner
// loop runs over plain arrays, whatever the number of channels, and vectorises.
class Normalizer {
 public:
  explicit Normalizer(const internal::ChannelStatistics& statistics) {
    for (int64_t p = 0; p < block_pixels; ++p) {
      mean_.insert(mean_.end(), statistics.mean.begin(), statistics.mean.end());
      inverse_std_.insert(inverse_std_.end(), statistics.inverse_std.begin(), statistics.inverse_std.end());
    }
  }

  void apply(const float* __restrict source, float* __restrict target, int64_t count) const {
    const auto block = static_cast<int64_t>(mean_.size());
    const float* mean = mean_.data();
    const float* inverse_std = inverse_std_.data();
    for (int64_t at = 0; at < count; at += block) {
      const int64_t n = std::min(block, count - at);
      for (int64_t i = 0; i < n; ++i) target[at + i] = (source[at + i] - mean[i]) * inverse_std[i];
    }
  }

 private:
  static constexpr int64_t block_pixels = 32;
  std::vector<float> mean_, inverse_std_;
};

// Decoding must not take a core from the threads that train: on Linux a thread has a niceness of its own.
void yield_to_training() {
  ::setpriority(PRIO_PROCESS, static_cast<id_t>(::syscall(SYS_gettid)), 10);
}

}  // namespace

struct Loader::State {
  const Dataset& dataset;
  const DataOptions data;
  AugmentOptions augment;
  const uint64_t seed;
  SampleCache cache;
  const Normalizer normalizer;

  std::mutex mutex;
  std::condition_variable produced, consumed;
  std::map<int64_t, Batch> ready;
  std::map<int64_t, std::exception_ptr> failed;
  int64_t next_step;     // the next that next() returns
  int64_t next_to_make;  // the next that a worker takes
  int64_t ahead;         // batches that may be made before they are asked for
  bool stopping = false;
  double waited = 0;
  std::map<int64_t, std::vector<int64_t>> orders;  // of the epochs in work
  std::vector<std::thread> workers;

  State(const Dataset& d, const DataOptions& o, const AugmentOptions& a, uint64_t s, int64_t first_step)
      : dataset(d),
        data(o),
        augment(a),
        seed(s),
        cache(d, data),
        normalizer(internal::channel_statistics(data, dataset.in_channels())),
        next_step(first_step),
        next_to_make(first_step) {
    augment.border_color = loader_border_color(data, dataset.in_channels());
    ahead = std::max<int64_t>(2, 2 * data.workers);
  }

  // Index of sample `position` of the endless concatenation of shuffled epochs.
  int64_t index_at(int64_t position) {
    const int64_t n = dataset.size(), epoch = position / n;
    std::lock_guard lock(mutex);
    auto [order, inserted] = orders.try_emplace(epoch);
    if (inserted) {
      order->second.resize(static_cast<size_t>(n));
      std::iota(order->second.begin(), order->second.end(), int64_t{0});
      Rng rng(seed, mix_streams(shuffle_stream, static_cast<uint64_t>(epoch)));
      for (int64_t i = n - 1; i > 0; --i) {
        std::swap(order->second[static_cast<size_t>(i)],
                  order->second[static_cast<size_t>(rng.integer(0, i))]);
      }
      // Workers are at most `ahead` batches apart; older epochs are not asked for again (and could be made
      // again).
      while (orders.size() > 2 && orders.begin()->first < epoch &&
             orders.begin()->first < next_step * data.batch_size / n) {
        orders.erase(orders.begin());
      }
    }
    return orders.at(epoch)[static_cast<size_t>(position % n)];
  }

  Sample make_sample(int64_t position) {
    const int64_t index = index_at(position);
    const Sample stored = cache.get(index);
    ATROUS_CHECK(stored.label.defined(), ErrorKind::data, "[loader] training needs labels. {} has none.",
                 stored.image_path);
    const auto epoch = static_cast<uint64_t>(position / dataset.size());
    Rng rng(seed, mix_streams(mix_streams(augment_stream, epoch), static_cast<uint64_t>(index)));
    return data::augment(stored, augment, rng);
  }

  Batch make_batch(int64_t step) {
    Batch batch;
    batch.step = step;
    for (int64_t i = 0; i < data.batch_size; ++i) {
      const Sample sample = make_sample(step * data.batch_size + i);
      const int64_t height = sample.image.dim(0), width = sample.image.dim(1), channels = sample.image.dim(2);
      if (i == 0) {
        batch.images = Tensor::empty({data.batch_size, height, width, channels}, DType::f32);
        batch.labels = Tensor::empty({data.batch_size, height, width}, DType::u8);
      }
      ATROUS_CHECK(
          batch.images.dim(1) == height && batch.images.dim(2) == width, ErrorKind::config,
          "[loader] all images of a batch must have one size. Got {} x {} ({}) after {} x {} ({}). Set "
          "augment.crop_height and augment.crop_width, or data.image_height and data.image_width.",
          width, height, sample.image_path, batch.images.dim(2), batch.images.dim(1), batch.ids[0]);
      normalizer.apply(sample.image.data<float>(), batch.images.data<float>() + i * sample.image.numel(),
                       sample.image.numel());
      std::memcpy(batch.labels.data<uint8_t>() + i * height * width, sample.label.data<uint8_t>(),
                  sample.label.bytes());
      batch.ids.push_back(sample.id);
    }
    return batch;
  }

  void stop_workers() {
    {
      std::lock_guard lock(mutex);
      stopping = true;
    }
    consumed.notify_all();
    for (std::thread& worker : workers) worker.join();
    workers.clear();
  }

  void work() {
    yield_to_training();
    std::unique_lock lock(mutex);
    while (true) {
      consumed.wait(lock, [&] { return stopping || next_to_make < next_step + ahead; });
      if (stopping) return;
      const int64_t step = next_to_make++;
      lock.unlock();
      Batch batch;
      std::exception_ptr error;
      try {
        batch = make_batch(step);
      } catch (...) {
        error = std::current_exception();
      }
      lock.lock();
      if (error) {
        failed[step] = error;
      } else {
        ready[step] = std::move(batch);
      }
      produced.notify_all();
      if (error) return;
    }
  }
};

Loader::Loader(const Dataset& dataset, const DataOptions& data, const AugmentOptions& augment, uint64_t seed,
               int64_t first_step) {
  ATROUS_CHECK(dataset.size() > 0, ErrorKind::data, "[loader] the data set is empty.");
  ATROUS_CHECK(data.batch_size >= 1 && data.workers >= 0 && first_step >= 0, ErrorKind::config,
               "[loader] batch_size is at least 1, workers and step at least 0. Got {}, {} and {}.",
               data.batch_size, data.workers, first_step);
  state_ = std::make_unique<State>(dataset, data, augment, seed, first_step);
  std::unique_lock starting(state_->mutex);  // nobody works before all are there
  try {
    for (int64_t i = 0; i < data.workers; ++i)
      state_->workers.emplace_back([s = state_.get()] { s->work(); });
  } catch (const std::system_error& error) {
    const size_t started = state_->workers.size();
    state_->stopping = true;
    starting.unlock();
    state_->stop_workers();  // a thread that is destroyed while it runs ends the program
    fail(ErrorKind::memory,
         "[loader] the system must give a thread per worker. Got {} of {}: {}. Lower data.workers or raise "
         "the "
         "limit of threads (ulimit -u).",
         started, data.workers, error.what());
  }
}

Loader::~Loader() {
  state_->stop_workers();
}

Batch Loader::next() {
  State& s = *state_;
  const auto start = std::chrono::steady_clock::now();
  const auto count_time = [&] {
    s.waited += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  if (s.workers.empty()) {
    Batch batch = s.make_batch(s.next_step);
    ++s.next_step;
    count_time();
    return batch;
  }
  std::unique_lock lock(s.mutex);
  // An error surfaces at its own step, so that it too does not depend on the workers.
  s.produced.wait(lock, [&] { return s.ready.contains(s.next_step) || s.failed.contains(s.next_step); });
  count_time();
  if (const auto error = s.failed.find(s.next_step); error != s.failed.end())
    std::rethrow_exception(error->second);
  Batch batch = std::move(s.ready.extract(s.next_step).mapped());
  ++s.next_step;
  s.consumed.notify_all();
  return batch;
}

std::vector<double> loader_border_color(const DataOptions& data, int64_t channels) {
  const auto mean = internal::channel_statistics(data, channels).mean;
  return {mean.begin(), mean.end()};
}

double Loader::wait_seconds() const {
  std::lock_guard lock(state_->mutex);
  return state_->waited;
}

}  // namespace atrous::data
