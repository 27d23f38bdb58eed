// Batches made by worker threads ahead of use, whatever a batch holds. Internal to data/: Loader and
// InstanceLoader are built on it.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "core/threads.h"

namespace atrous::data::internal {

// Decoding must not take a core from the threads that train: lowers the priority of the calling thread.
void yield_to_training();

// Calls make(step) for step = first_step, first_step + 1, ... on `workers` threads, and returns the results
// in order. `make` must depend on nothing but the step.
template <class Batch>
class Prefetcher {
 public:
  // workers = 0: next() makes the batch itself. Error(memory) if the system gives no threads.
  Prefetcher(std::function<Batch(int64_t step)> make, int64_t workers, int64_t first_step)
      : make_(std::move(make)),
        next_step_(first_step),
        next_to_make_(first_step),
        ready_(static_cast<size_t>(std::max<int64_t>(2, 2 * workers))) {
    start_threads(
        workers_, workers, [this] { work(); }, [this] { ask_to_stop(); }, "loader",
        "Lower data.workers, or raise the limit of threads (ulimit -u).");
  }
  ~Prefetcher() {
    ask_to_stop();
    for (std::thread& worker : workers_) worker.join();
  }
  Prefetcher(const Prefetcher&) = delete;
  Prefetcher& operator=(const Prefetcher&) = delete;

  Batch next() {
    const auto start = std::chrono::steady_clock::now();
    const auto count_time = [&] {
      waited_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    };
    if (workers_.empty()) {
      Batch batch = make_(next_step_);
      ++next_step_;
      count_time();
      return batch;
    }
    std::unique_lock lock(mutex_);
    // An error is rethrown at its own step, so that it too does not depend on the workers.
    Slot& slot = slot_of(next_step_);
    produced_.wait(lock, [&] { return slot.full; });
    count_time();
    if (slot.error) std::rethrow_exception(slot.error);
    Batch batch = std::move(slot.batch);
    slot = {};
    ++next_step_;
    consumed_.notify_all();
    return batch;
  }

  double wait_seconds() const {
    std::lock_guard lock(mutex_);
    return waited_;
  }

 private:
  struct Slot {
    bool full = false;
    Batch batch;
    std::exception_ptr error;  // instead of a batch
  };

  Slot& slot_of(int64_t step) { return ready_[static_cast<size_t>(step) % ready_.size()]; }

  void ask_to_stop() {
    {
      std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    consumed_.notify_all();
  }

  // An exception that leaves a thread ends the program, so nothing here but `make_` may need memory.
  void work() {
    yield_to_training();
    std::unique_lock lock(mutex_);
    while (true) {
      consumed_.wait(lock, [&] {
        return stopping_ || next_to_make_ < next_step_ + static_cast<int64_t>(ready_.size());
      });
      if (stopping_) return;
      const int64_t step = next_to_make_++;
      lock.unlock();
      Slot made{.full = true, .batch = {}, .error = {}};
      try {
        made.batch = make_(step);
      } catch (...) {
        made.error = std::current_exception();
      }
      lock.lock();
      slot_of(step) = std::move(made);
      produced_.notify_all();
      if (slot_of(step).error) return;
    }
  }

  const std::function<Batch(int64_t)> make_;
  mutable std::mutex mutex_;
  std::condition_variable produced_, consumed_;
  int64_t next_step_;        // the next that next() returns
  int64_t next_to_make_;     // the next that a worker takes
  std::vector<Slot> ready_;  // of the steps from next_step_ on, each at its step modulo the size
  bool stopping_ = false;
  double waited_ = 0;
  std::vector<std::thread> workers_;
};

}  // namespace atrous::data::internal
