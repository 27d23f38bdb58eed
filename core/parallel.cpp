#include "core/parallel.h"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "core/env.h"
#include "core/error.h"
#include "core/threads.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace atrous {
namespace {

thread_local bool inside_parallel_region = false;

void pause_briefly() {
#if defined(__x86_64__)
  _mm_pause();
#else
  std::this_thread::yield();
#endif
}

struct Job {
  RangeFn fn;
  int64_t n;
  int64_t grain;
  std::atomic<int64_t> next{0};
  std::atomic<bool> failed{false};
  std::exception_ptr error;
  std::mutex error_mutex;

  Job(RangeFn f, int64_t n_, int64_t grain_) : fn(f), n(n_), grain(grain_) {}

  void work() {
    for (;;) {
      const int64_t begin = next.fetch_add(grain, std::memory_order_relaxed);
      if (begin >= n || failed.load(std::memory_order_relaxed)) return;
      try {
        fn(begin, std::min(n, begin + grain));
      } catch (...) {
        std::lock_guard lock(error_mutex);
        if (!failed.exchange(true)) error = std::current_exception();
      }
    }
  }
};

// Workers spin for a moment before they sleep: the gap between two kernels of a network is a few
// microseconds.
class Pool {
 public:
  explicit Pool(int workers) {
    start_threads(
        threads_, workers, [this] { loop(); }, [this] { stop(); }, "threads",
        "Use fewer (ATROUS_THREADS), or raise the limit of threads (ulimit -u).");
  }
  ~Pool() {
    stop();
    for (std::thread& t : threads_) t.join();
  }

  void run(Job& job) {
    if (sleeping_.load(std::memory_order_relaxed) > 0) keep_off_this_core();
    {
      std::lock_guard lock(mutex_);
      job_ = &job;
      running_.store(static_cast<int>(threads_.size()), std::memory_order_relaxed);
      generation_.fetch_add(1, std::memory_order_release);
    }
    wake_.notify_all();
    inside_parallel_region = true;
    job.work();
    inside_parallel_region = false;
    for (int spin = 0; running_.load(std::memory_order_acquire) != 0; ++spin) {
      if (spin < 2000) {
        pause_briefly();
      } else {
        std::this_thread::yield();
      }
    }
  }

 private:
  // Linux may wake a worker on the core of the thread that wakes it and leave it there, although others are
  // idle: measured after 20 ms of rest, the next 9 ms of work ran on one core of two.
  void keep_off_this_core() {
    cpu_set_t others;
    const int here = sched_getcpu();
    if (here < 0 || sched_getaffinity(0, sizeof others, &others) != 0) return;
    if (CPU_COUNT(&others) <= static_cast<int>(threads_.size())) return;  // fewer cores than threads
    CPU_CLR(static_cast<size_t>(here), &others);
    for (std::thread& t : threads_) pthread_setaffinity_np(t.native_handle(), sizeof others, &others);
  }

  void stop() {
    {
      std::lock_guard lock(mutex_);
      stop_ = true;
      generation_.fetch_add(1);
    }
    wake_.notify_all();
  }

  void loop() {
    inside_parallel_region = true;
    uint64_t seen = 0;
    for (;;) {
      for (int spin = 0; spin < 2000 && generation_.load(std::memory_order_acquire) == seen; ++spin)
        pause_briefly();
      {
        std::unique_lock lock(mutex_);
        sleeping_.fetch_add(1, std::memory_order_relaxed);
        wake_.wait(lock, [&] { return generation_.load(std::memory_order_acquire) != seen; });
        sleeping_.fetch_sub(1, std::memory_order_relaxed);
        seen = generation_.load(std::memory_order_acquire);
        if (stop_) return;
      }
      job_->work();
      running_.fetch_sub(1, std::memory_order_release);
    }
  }

  std::vector<std::thread> threads_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::atomic<uint64_t> generation_{0};
  std::atomic<int> running_{0};
  std::atomic<int> sleeping_{0};
  Job* job_ = nullptr;
  bool stop_ = false;
};

struct State {
  std::mutex mutex;  // one parallel region at a time
  std::atomic<int> threads{0};
  std::unique_ptr<Pool> pool;
};

State& state() {
  static State* instance = new State;  // workers may be parked at exit
  return *instance;
}

int initial_threads() {
  const int wanted = env::threads();
  return wanted > 0 ? wanted : available_cores();
}

}  // namespace

int available_cores() {
  int cores = std::max(1u, std::thread::hardware_concurrency());
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) cores = std::min(cores, CPU_COUNT(&set));
  std::ifstream quota_file("/sys/fs/cgroup/cpu.max");
  std::string quota;
  double period = 0;
  if (quota_file >> quota >> period && quota != "max" && period > 0) {
    cores = std::min(cores, std::max(1, static_cast<int>(std::atof(quota.c_str()) / period + 0.5)));
  }
  return std::max(1, cores);
}

int num_threads() {
  State& s = state();
  if (s.threads == 0) s.threads = initial_threads();  // the same value for every first caller
  return s.threads;
}

void set_num_threads(int count) {
  ATROUS_CHECK(count >= 1 && count <= 1024, ErrorKind::usage,
               "[threads] the number of threads must be 1 to 1024. Got {}.", count);
  State& s = state();
  std::lock_guard lock(s.mutex);
  if (count == s.threads) return;
  s.pool.reset();
  s.threads = count;
}

void parallel_for(int64_t n, int64_t grain, RangeFn f) {
  ATROUS_ASSERT(grain >= 1);
  if (n <= 0) return;
  if (inside_parallel_region || n <= grain) {
    for (int64_t begin = 0; begin < n; begin += grain) f(begin, std::min(n, begin + grain));
    return;
  }
  State& s = state();
  std::unique_lock lock(s.mutex);
  if (s.threads == 0) s.threads = initial_threads();
  if (s.threads == 1) {
    lock.unlock();
    for (int64_t begin = 0; begin < n; begin += grain) f(begin, std::min(n, begin + grain));
    return;
  }
  if (!s.pool) s.pool = std::make_unique<Pool>(s.threads - 1);
  Job job(f, n, grain);
  s.pool->run(job);
  lock.unlock();
  if (job.error) std::rethrow_exception(job.error);
}

}  // namespace atrous
