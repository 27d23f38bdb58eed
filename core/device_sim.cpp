#include "core/device_sim.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <list>
#include <mutex>
#include <random>
#include <utility>

#include "core/device_backend.h"
#include "core/device_sim_memory.h"
#include "core/env.h"
#include "core/error.h"

namespace atrous {
namespace {

using Clock = std::chrono::steady_clock;

// A recorded point in the work of a stream.
struct Point {
  bool passed = false;
  Clock::time_point when;
};

struct SimEvent {
  std::shared_ptr<Point> latest;
};

struct Work {
  std::function<void()> run;
  std::shared_ptr<Point> after;  // may not run before this point has passed
};

using Works = std::list<Work>;
using Recorded = Works;

struct Queue {
  Works waiting;
  Recorded* recording = nullptr;  // during a capture
  bool runnable() const {
    return !waiting.empty() && (!waiting.front().after || waiting.front().after->passed);
  }
};

// One piece of work runs at a time, whichever stream or host thread it comes from. Eagerly, work runs when it
// is queued. With lag it stays queued until something waits for it; meanwhile other streams run ahead of it
// or stay behind at random, so that a missing event gives wrong results rather than right ones by
// luck.
class Simulator final : public DeviceBackend {
 public:
  Simulator()
      : options_{env::sim_lag(), env::sim_check(), env::sim_seed(), env::sim_memory(),
                 env::sim_check_all() ? UINT64_MAX : uint64_t{4} << 20},
        random_(options_.seed) {
    properties_.total_memory = options_.memory;
  }

  const DeviceProperties& properties() override { return properties_; }

  std::shared_ptr<void> create_stream() override {
    std::lock_guard lock(mutex_);
    auto* queue = new Queue;
    queues_.push_back(queue);
    candidates_.reserve(queues_.size());
    return std::shared_ptr<void>(queue, [this](void* q) {
      std::lock_guard relock(mutex_);
      std::erase(queues_, static_cast<Queue*>(q));
      delete static_cast<Queue*>(q);
    });
  }

  void synchronize_stream(void* stream) override {
    std::lock_guard lock(mutex_);
    const Queue& q = *static_cast<Queue*>(stream);
    run_until([&] { return q.waiting.empty(); }, &q);
    report_damage();
  }

  void synchronize_device() override {
    std::lock_guard lock(mutex_);
    run_until([&] { return std::ranges::all_of(queues_, [](const Queue* q) { return q->waiting.empty(); }); },
              nullptr);
    report_damage();
  }

  std::shared_ptr<void> create_event() override { return std::make_shared<SimEvent>(); }

  void record_event(void* event, void* stream) override {
    std::lock_guard lock(mutex_);
    auto point = std::make_shared<Point>();
    static_cast<SimEvent*>(event)->latest = point;
    push(stream, {[point] {
                    point->passed = true;
                    point->when = Clock::now();
                  },
                  nullptr});
    run_some();
  }

  void wait_for_event(void* event, void* stream) override {
    std::lock_guard lock(mutex_);
    const std::shared_ptr<Point>& point = static_cast<SimEvent*>(event)->latest;
    if (!point) return;
    push(stream, {[] {}, point});
    run_some();
  }

  void synchronize_event(void* event) override {
    std::lock_guard lock(mutex_);
    const std::shared_ptr<Point> point = static_cast<SimEvent*>(event)->latest;
    if (point) run_until([&] { return point->passed; }, nullptr);
    report_damage();
  }

  bool event_done(void* event) override {
    std::lock_guard lock(mutex_);
    run_some();  // a host that polls must see progress
    const std::shared_ptr<Point>& point = static_cast<SimEvent*>(event)->latest;
    return !point || point->passed;
  }

  double elapsed_ms(void* start, void* stop) override {
    std::lock_guard lock(mutex_);
    const std::shared_ptr<Point>& a = static_cast<SimEvent*>(start)->latest;
    const std::shared_ptr<Point>& b = static_cast<SimEvent*>(stop)->latest;
    return a && b ? std::chrono::duration<double, std::milli>(b->when - a->when).count() : 0;
  }

  void begin_capture(void* stream) override {
    std::lock_guard lock(mutex_);
    static_cast<Queue*>(stream)->recording = new Recorded;
  }

  std::shared_ptr<void> end_capture(void* stream) override {
    std::lock_guard lock(mutex_);
    return std::shared_ptr<Recorded>(std::exchange(static_cast<Queue*>(stream)->recording, nullptr));
  }

  void abandon_capture(void* stream) override { end_capture(stream); }

  void launch_graph(void* graph, void* stream) override {
    for (const Work& work : *static_cast<Recorded*>(graph)) enqueue(stream, work.run);
  }

  std::byte* map_block(size_t size) override { return memory_.map(size, options_.memory); }
  void unmap_block(std::byte* block, size_t) override { memory_.unmap(block); }

  std::byte* open_block(std::byte* block, size_t size, size_t bytes, void* stream) override {
    {
      std::lock_guard lock(mutex_);
      closings_.emplace_back();
    }
    enqueue(stream, [this, block, bytes] { memory_.open(block, bytes); });
    return GuardedMemory::place(block, size, bytes);
  }

  // Called when a tensor dies, possibly while an exception propagates, so it must not run any
  // kernels, and needs no memory: open_block made room for the work.
  void close_block(std::byte* block, size_t, void* stream, bool in_graph) noexcept override {
    std::lock_guard lock(mutex_);
    Queue& q = *static_cast<Queue*>(stream);
    Works& to = q.recording && in_graph ? *q.recording : q.waiting;
    to.splice(to.end(), closings_, closings_.begin());
    to.back().run = [this, block] { memory_.close(block); };
    if (!options_.lag) run_some();  // eagerly nothing else is waiting
  }

  std::byte* map_pinned(size_t size) override {
    return static_cast<std::byte*>(std::aligned_alloc(64, size));
  }

  void copy(CopyKind, void* to, size_t to_pitch, const void* from, size_t from_pitch, size_t row_bytes,
            size_t rows, void* stream) override {
    enqueue(stream, [=] {
      for (size_t r = 0; r < rows; ++r) {
        std::memcpy(static_cast<std::byte*>(to) + r * to_pitch,
                    static_cast<const std::byte*>(from) + r * from_pitch, row_bytes);
      }
    });
  }

  void zero(void* to, size_t pitch, size_t row_bytes, size_t rows, void* stream) override {
    enqueue(stream, [=] {
      for (size_t r = 0; r < rows; ++r) std::memset(static_cast<std::byte*>(to) + r * pitch, 0, row_bytes);
    });
  }

  void enqueue(void* stream, std::function<void()> work) {
    std::lock_guard lock(mutex_);
    push(stream, {std::move(work), nullptr});
    run_some();
  }

  void enqueue_kernel(void* stream, std::function<void()> kernel, std::string name) {
    if (!options_.check) return enqueue(stream, std::move(kernel));
    enqueue(stream, [this, kernel = std::move(kernel), name = std::move(name)] {
      kernel();
      const std::string damage = memory_.check();
      ATROUS_CHECK(damage.empty(), ErrorKind::internal, "[sim] {} left its memory: {}.", name, damage);
      const std::string unwritten = memory_.take_shared_poison(options_.search);
      ATROUS_CHECK(unwritten.empty(), ErrorKind::internal,
                   "[sim] {} read shared memory before it was written: the poison is now at {}. Write it "
                   "first, and put a barrier between.",
                   name, unwritten);
    });
  }

  GuardedMemory& memory() { return memory_; }
  const SimOptions& options() const { return options_; }
  void set_options(const SimOptions& options) {
    synchronize_device();
    std::lock_guard lock(mutex_);
    options_ = options;
    properties_.total_memory = options.memory;
    random_.seed(options.seed);
  }

 private:
  // Queues or records, but runs nothing.
  void push(void* stream, Work work) {
    Queue& q = *static_cast<Queue*>(stream);
    if (q.recording) {
      q.recording->push_back({std::move(work.run), nullptr});
    } else {
      q.waiting.push_back(std::move(work));
    }
  }

  // How a wait treats the streams that it does not wait for.
  enum class Others { last, first, mixed };

  // Run between two calls of the host: eagerly all work, with lag a little of it, now and then.
  void run_some() {
    if (running_) return;
    if (!options_.lag) {
      run_until(
          [&] { return std::ranges::all_of(queues_, [](const Queue* q) { return q->waiting.empty(); }); },
          nullptr);
    } else if (random_below(4) == 0) {
      for (size_t n = random_below(4); n > 0; --n) {
        if (Queue* q = pick(nullptr, Others::mixed)) run_front(*q);
      }
    }
  }

  template <class Done>
  void run_until(Done done, const Queue* wanted) {
    const auto others = options_.lag ? static_cast<Others>(random_below(3)) : Others::mixed;
    while (!done()) {
      Queue* q = pick(wanted, others);
      ATROUS_ASSERT(
          q);  // a point is queued before anything can wait for it, so some stream can always continue
      run_front(*q);
    }
  }

  Queue* pick(const Queue* wanted, Others others) {
    std::vector<Queue*>& candidates = candidates_;
    candidates.clear();
    for (Queue* q : queues_) {
      if (q->runnable()) candidates.push_back(q);
    }
    if (wanted && others != Others::mixed) {
      const auto it = std::ranges::find(candidates, wanted);
      if (it != candidates.end()) {
        if (others == Others::last) return *it;
        if (candidates.size() > 1) candidates.erase(it);
      }
    }
    return candidates.empty() ? nullptr : candidates[options_.lag ? random_below(candidates.size()) : 0];
  }

  void run_front(Queue& q) {
    const std::function<void()> work = std::move(q.waiting.front().run);
    q.waiting.pop_front();
    const bool was_running = std::exchange(running_, true);
    try {
      work();
    } catch (...) {
      running_ = was_running;
      throw;
    }
    running_ = was_running;
  }

  void report_damage() {
    const std::string damage = memory_.take_damage();
    ATROUS_CHECK(damage.empty(), ErrorKind::internal,
                 "[sim] a kernel left its memory: {}. ATROUS_SIM_CHECK=1 finds the kernel.", damage);
  }
  size_t random_below(size_t n) { return std::uniform_int_distribution<size_t>(0, n - 1)(random_); }

  // Recursive: work that is running may free tensors, which queues more.
  std::recursive_mutex mutex_;
  bool running_ = false;
  SimOptions options_;
  std::mt19937_64 random_;
  std::vector<Queue*> queues_, candidates_;  // all, and those of the latest pick()
  Works closings_;                           // room for the closing of each open block
  GuardedMemory memory_;
  // Limits of an sm_90 GPU, whose kernels the simulator runs; few multiprocessors, so that persistent kernels
  // get several tiles per block even in small tests.
  DeviceProperties properties_{.name = "simulator",
                               .multiprocessors = 4,
                               .shared_per_block = 227 * 1024,
                               .compute_major = 9,
                               .compute_minor = 0,
                               .driver = ""};
};

Simulator& simulator() {
  static Simulator* instance = new Simulator;
  return *instance;
}

}  // namespace

DeviceBackend& sim_backend() {
  return simulator();
}

SimOptions sim_options() {
  return simulator().options();
}

void set_sim_options(const SimOptions& options) {
  simulator().set_options(options);
}

std::string sim_check_guards() {
  return simulator().memory().check();
}

std::string sim_describe_address(const void* address) {
  return simulator().memory().describe(static_cast<const std::byte*>(address));
}

void sim_enqueue(const Stream& stream, std::function<void()> kernel, std::string name) {
  ATROUS_ASSERT(stream.device() == Device::sim);
  simulator().enqueue_kernel(stream.handle(), std::move(kernel), std::move(name));
}

}  // namespace atrous
