// Batches made by worker threads ahead of use, whatever a batch holds. Internal to data/: Loader and
// InstanceLoader are built on it.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include "core/error.h"

namespace atrous::data::internal {

// Decoding must not take a core from the threads that train: lowers the priority of the calling thread.
void yield_to_training();

// Calls make(step) for step = first_step, first_step + 1, ... on `workers` threads, and hands the results out
// in order. `make` must depend on nothing but the step.
template <class Batch>
class Prefetcher {
 public:
  // workers = 0: next() makes the batch itself. Error(memory) if the system gives no threads.
  Prefetcher(std::function<Batch(int64_t step)> make, int64_t workers, int64_t first_step)
      : make_(std::move(make)),
        next_step_(first_step),
        next_to_make_(first_step),
        ahead_(std::max<int64_t>(2, 2 * workers)) {
    std::unique_lock starting(mutex_);  // nobody works before all are there
    try {
      for (int64_t i = 0; i < workers; ++i) workers_.emplace_back([this] { work(); });
    } catch (const std::system_error& error) {
      const size_t started = workers_.size();
      stopping_ = true;
      starting.unlock();
      stop();  // a thread that is destroyed while it runs ends the program
      fail(ErrorKind::memory,
           "[loader] the system must give a thread per worker. Got {} of {}: {}. Lower data.workers or raise "
           "the "
           "limit of threads (ulimit -u).",
           started, workers, error.what());
    }
  }
  ~Prefetcher() { stop(); }
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
    // An error surfaces at its own step, so that it too does not depend on the workers.
    produced_.wait(lock, [&] { return ready_.contains(next_step_) || failed_.contains(next_step_); });
    count_time();
    if (const auto error = failed_.find(next_step_); error != failed_.end())
      std::rethrow_exception(error->second);
    Batch batch = std::move(ready_.extract(next_step_).mapped());
    ++next_step_;
    consumed_.notify_all();
    return batch;
  }

  double wait_seconds() const {
    std::lock_guard lock(mutex_);
    return waited_;
  }

 private:
  void stop() {
    {
      std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    consumed_.notify_all();
    for (std::thread& worker : workers_) worker.join();
    workers_.clear();
  }

  void work() {
    yield_to_training();
    std::unique_lock lock(mutex_);
    while (true) {
      consumed_.wait(lock, [&] { return stopping_ || next_to_make_ < next_step_ + ahead_; });
      if (stopping_) return;
      const int64_t step = next_to_make_++;
      lock.unlock();
      Batch batch;
      std::exception_ptr error;
      try {
        batch = make_(step);
      } catch (...) {
        error = std::current_exception();
      }
      lock.lock();
      if (error) {
        failed_[step] = error;
      } else {
        ready_[step] = std::move(batch);
      }
      produced_.notify_all();
      if (error) return;
    }
  }

  const std::function<Batch(int64_t)> make_;
  mutable std::mutex mutex_;
  std::condition_variable produced_, consumed_;
  std::map<int64_t, Batch> ready_;
  std::map<int64_t, std::exception_ptr> failed_;
  int64_t next_step_;     // the next that next() returns
  int64_t next_to_make_;  // the next that a worker takes
  const int64_t ahead_;   // batches that may be made before they are asked for
  bool stopping_ = false;
  double waited_ = 0;
  std::vector<std::thread> workers_;
};

}  // namespace atrous::data::internal
