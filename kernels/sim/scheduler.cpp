// Blocks, threads and barriers of the simulator. Compiled without ThreadSanitizer: its memory is not the
// kernels'.
#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <numeric>
#include <vector>

#include "core/device_sim.h"
#include "core/env.h"
#include "core/error.h"
#include "core/parallel.h"
#include "kernels/sim/fiber.h"
#include "kernels/sim/shared_arena.h"
#include "kernels/sim/sim.h"

namespace atrous::simulator {

thread_local constinit Thread* self = nullptr;
static_assert(shared_poison == kSharedPoison);

namespace {

std::atomic<uint64_t>& seed_value() {
  static std::atomic<uint64_t> value{env::sim_seed()};
  return value;
}

uint64_t mix(uint64_t x) {  // splitmix64
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

struct Random {
  uint64_t state = 1;
  uint32_t next() {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return static_cast<uint32_t>(state >> 32);
  }
  size_t below(size_t n) { return static_cast<size_t>((uint64_t{next()} * n) >> 32); }
};

enum class State : unsigned char { not_started, runnable, waiting, exited };

struct SimThread : Thread {
  State state = State::not_started;
  Fiber* fiber = nullptr;
  const char* waits_for = "";
  Site wait_site;
  std::vector<AsyncCopy> copies;
  std::vector<size_t> group_ends;  // positions in `copies`
};

struct Barrier {
  unsigned expected = 0;
  unsigned arrived = 0;
  std::vector<SimThread*> waiting;
  Site site;
  unsigned generation = 0;
  char* race_object = nullptr;  // two alternate, else the next round's arrivals would hide a race of this one
};

struct Collective {
  unsigned mask = 0;
  unsigned arrived = 0;
  Compute* compute = nullptr;
  void* data[32] = {};
  Site site;
  unsigned generation = 0;
};

struct Warp {
  std::vector<Collective> pending;  // disjoint masks
  unsigned exited = 0;
  unsigned generation = 0;
  char* race_object = nullptr;
};

// Objects that order a launch with the host, and fences with each other, for the race detector.
char launch_start, launch_end, fence_object;

}  // namespace

struct Block {
  const char* kernel = "";
  const std::function<void()>* thread = nullptr;
  Dim3 index{0, 0, 0};
  uint64_t seed = 0;
  Random random;        // of the schedule
  Random fiber_random;  // of choices that a kernel cannot observe
  std::deque<SimThread> threads;
  size_t thread_count = 0;
  std::vector<SimThread*> ready;
  std::vector<Warp> warps;
  Barrier barriers[16];
  std::unique_ptr<char[]> race_objects;  // of all barriers and warps
  size_t live = 0;
  std::string problem;
  std::exception_ptr exception;
  SharedArena shared;
  Fiber host;  // where run_block waits
  std::deque<Fiber> fibers;
  std::deque<Fiber> resting;  // with the race detector every other block runs on these
  std::vector<Fiber*> parked;
  bool in_use = false;

  SimThread* pick() {
    if (ready.empty()) return nullptr;
    std::swap(ready[random.below(ready.size())], ready.back());
    SimThread* t = ready.back();
    ready.pop_back();
    return t;
  }
};

namespace {

void fiber_main();

Block& block_of(Thread* t) {
  return *t->block;
}
SimThread& me() {
  return *static_cast<SimThread*>(self);
}

Fiber* take_fiber(Block& b) {
  if (!b.parked.empty()) {
    // A fiber is one thread to the race detector, which sees no race between what it ran before and what it
    // runs next. A random choice makes it unlikely that two CUDA threads that race always share one.
    // Not from the schedule's numbers: how many fibers there are depends on earlier launches, and the
    // schedule must not.
    std::swap(b.parked[b.fiber_random.below(b.parked.size())], b.parked.back());
    Fiber* f = b.parked.back();
    b.parked.pop_back();
    return f;
  }
  b.fibers.push_back(make_fiber(fiber_main));
  return &b.fibers.back();
}

// Leaves the fiber `from` and continues thread `t`.
void resume(Block& b, Fiber& from, SimThread* t) {
  if (!t->fiber) {
    const RaceBlind blind;  // not across the switch: `from` may never come back
    t->fiber = take_fiber(b);
  }
  self = t;
  switch_fiber(from, *t->fiber);
}

void back_to_host(Block& b, Fiber& from) {
  self = nullptr;
  switch_fiber(from, b.host);
}

// Returns the thread that runs next.
SimThread* exit_thread(Block& b, SimThread& t) {
  const RaceBlind blind;
  t.state = State::exited;
  b.warps[t.linear / 32].exited |= 1u << t.lane;
  --b.live;
  return b.pick();
}

void fiber_main() {
  arrived_on_new_fiber();
  for (;;) {
    SimThread* t = &me();
    Block& b = *t->block;
    Fiber* fiber = t->fiber;
    t->state = State::runnable;
    race_acquire(&launch_start);
    try {
      (*b.thread)();
    } catch (...) {
      b.exception = std::current_exception();
      back_to_host(b, *fiber);
    }
    race_release(&launch_end);
    SimThread* next = exit_thread(b, *t);
    // Without the race detector the next thread may start on this very stack: no switch at all for kernels
    // without barriers.
    if (next && !next->fiber && !race_detector_is_on()) {
      next->fiber = fiber;
      self = next;
      continue;
    }
    if (!race_detector_is_on()) b.parked.push_back(fiber);
    if (next) {
      resume(b, *fiber, next);
    } else {
      back_to_host(b, *fiber);
    }
  }
}

// The current thread waits; other threads run until it is released.
void wait(const char* what, Site site) {
  SimThread& t = me();
  Block& b = *t.block;
  race_release(&launch_end);  // should the launch fail now, the host still comes after this thread
  t.state = State::waiting;
  t.waits_for = what;
  t.wait_site = site;
  SimThread* next = b.pick();
  if (next == &t) {
    t.state = State::runnable;
    return;
  }
  if (next) {
    resume(b, *t.fiber, next);
  } else {
    back_to_host(b, *t.fiber);
  }
  t.state = State::runnable;
}

std::string name_of_site(Site site) {
  const char* file = site.file_name();
  const char* slash = std::strstr(file, "kernels/");
  return fmt::format("{}:{}", slash ? slash : file, site.line());
}

bool same_site(Site a, Site b) {
  return a.line() == b.line() &&
         (a.file_name() == b.file_name() || !std::strcmp(a.file_name(), b.file_name()));
}

std::string describe_launch(const Block& b) {
  const SimThread& t = b.threads.front();
  return fmt::format("kernel {} grid {}x{}x{} block {}x{}x{} shared {} B, block ({},{},{})", b.kernel,
                     t.grid_dim.x, t.grid_dim.y, t.grid_dim.z, t.block_dim.x, t.block_dim.y, t.block_dim.z,
                     b.shared.dynamic_bytes(), b.index.x, b.index.y, b.index.z);
}

// Deadlock: no thread can run and not all have exited. Lists where each waits.
std::string describe_deadlock(const Block& b) {
  std::map<std::string, int> groups;
  int exited = 0;
  for (size_t i = 0; i < b.thread_count; ++i) {
    const SimThread& t = b.threads[i];
    if (t.state == State::exited) {
      ++exited;
    } else {
      ++groups[fmt::format("wait in {} at {}", t.waits_for, name_of_site(t.wait_site))];
    }
  }
  std::string text = "divergent barrier, no thread can continue:";
  for (const auto& [where, count] : groups) text += fmt::format(" {} threads {};", count, where);
  text += fmt::format(
      " {} have exited. Let every thread of the block (or lane of the mask) reach the same barrier", exited);
  return text;
}

// Makes the fibers of an ended block ready for the next one. After a failure some are in mid-flight and must
// be wound back.
void recycle(Block& b, bool failed) {
  if (race_detector_is_on()) {
    // No fiber ran two threads of one block: the detector would think them ordered. Shared memory is fresh
    // for every block: its reuse would look like a race.
    if (failed) b.fibers.clear();  // not freed: a detector's thread cannot end in the middle of a function
    // A fiber that ran a thread of this block passes its barriers in the next one on to all threads there:
    // the blocks would seem ordered. Others have not seen this block.
    std::swap(b.fibers, b.resting);
    b.parked.clear();
    for (Fiber& f : b.fibers) b.parked.push_back(&f);
    b.shared.unmap();
  } else if (failed) {
    b.parked.clear();
    for (Fiber& f : b.fibers) {
      reset_fiber(f, fiber_main);
      b.parked.push_back(&f);
    }
  }
  b.ready.clear();
}

// Two for each barrier and warp. Fresh memory for every block: what an earlier block released would order its
// writes before the reads of this one, though only a fence does.
void prepare_race_objects(Block& b) {
  if (b.race_objects && !race_detector_is_on()) return;
  b.race_objects = std::make_unique<char[]>(2 * (std::size(b.barriers) + max_threads_per_block / 32));
}

void prepare_threads(Block& b, Dim3 grid, Dim3 block, Dim3 index) {
  b.thread_count = static_cast<size_t>(block.count());
  if (b.threads.size() < b.thread_count) b.threads.resize(b.thread_count);
  b.warps.assign((b.thread_count + 31) / 32, Warp{});
  prepare_race_objects(b);
  char* race_object = b.race_objects.get();
  for (Barrier& barrier : b.barriers) {
    barrier.arrived = barrier.expected = 0;
    barrier.waiting.clear();
    barrier.race_object = race_object;
    race_object += 2;
  }
  for (Warp& warp : b.warps) {
    warp.race_object = race_object;
    race_object += 2;
  }
  unsigned linear = 0;
  for (unsigned z = 0; z < block.z; ++z) {
    for (unsigned y = 0; y < block.y; ++y) {
      for (unsigned x = 0; x < block.x; ++x, ++linear) {
        SimThread& t = b.threads[linear];
        t.index = Dim3(x, y, z);
        t.block_index = index;
        t.block_dim = block;
        t.grid_dim = grid;
        t.linear = linear;
        t.lane = linear % 32;
        t.block = &b;
        t.state = State::not_started;
        t.fiber = nullptr;
        t.copies.clear();
        t.group_ends.clear();
        b.ready.push_back(&t);
      }
    }
  }
  // Lanes that a last, partial warp does not have count as exited.
  if (b.thread_count % 32) b.warps.back().exited = ~0u << (b.thread_count % 32);
  b.live = b.thread_count;
}

void run_block(Block& b, Dim3 grid, Dim3 block, Dim3 index, uint64_t block_seed) {
  b.index = index;
  b.seed = block_seed;
  b.random.state = block_seed | 1;
  b.problem.clear();
  b.exception = nullptr;
  prepare_threads(b, grid, block, index);
  // To the race detector a new fiber comes after all that its maker did. Made by one another, CUDA threads
  // would be in order and never race; so the host makes them all.
  while (race_detector_is_on() && b.parked.size() < b.thread_count) {
    b.fibers.push_back(make_fiber(fiber_main));
    b.parked.push_back(&b.fibers.back());
  }
  b.shared.start_block();
  b.host.tsan_fiber = current_race_thread();
  resume(b, b.host, b.pick());
  self = nullptr;
  if (b.problem.empty() && !b.exception && b.live > 0) b.problem = describe_deadlock(b);
  if (b.problem.empty() && !b.exception) b.problem = b.shared.damage();
  const std::string problem = b.problem.empty() ? "" : describe_launch(b) + ": " + b.problem;
  const std::exception_ptr exception = b.exception;
  recycle(b, !problem.empty() || exception);
  if (exception) std::rethrow_exception(exception);
  if (!problem.empty())
    fail(ErrorKind::internal, "[sim] {}. Repeat it with ATROUS_SIM_SEED={}.", problem, seed());
}

// ---- accesses outside of mapped memory ----

#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(ATROUS_SIM_TSAN)
thread_local void* fault_address = nullptr;
struct sigaction previous_action;

// The page below the stack of the current fiber, which overflows into it.
bool is_below_stack(const void* address, const Fiber& fiber) {
  const auto* p = static_cast<const std::byte*>(address);
  return p < fiber.stack && fiber.stack - p <= static_cast<std::ptrdiff_t>(fiber_guard_bytes);
}

[[noreturn]] void report_fault() {
  if (is_below_stack(fault_address, *me().fiber)) {
    fail_kernel(fmt::format("stack overflow: local variables and calls need more than the simulator's {} KB",
                            fiber_stack_bytes >> 10));
  }
  const std::string place = sim_describe_address(fault_address);
  fail_kernel(
      place.empty()
          ? fmt::format("access out of bounds: address {}, near no allocation of the device", fault_address)
          : "access out of bounds: " + place);
}

void on_fault(int signal, siginfo_t* info, void* context) {
  if (!self) {  // not a kernel: as if this handler did not exist
    sigaction(signal, &previous_action, nullptr);
    return;
  }
  // Continue the faulting fiber in report_fault, where exceptions and memory allocation are legal.
  fault_address = info->si_addr;
  auto& registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
  const Fiber& fiber = *me().fiber;
  // The contents of the stack are not needed again, and a full one has no room.
  if (is_below_stack(fault_address, fiber))
    registers[REG_RSP] = reinterpret_cast<greg_t>(fiber.stack + fiber.stack_bytes);
  registers[REG_RSP] = ((registers[REG_RSP] - 256) & ~15ll) - 8;
  registers[REG_RIP] = reinterpret_cast<greg_t>(&report_fault);
}

bool is_installed(struct sigaction* present) {
  sigaction(SIGSEGV, nullptr, present);
  return present->sa_flags & SA_SIGINFO && present->sa_sigaction == on_fault;
}

// Before each launch: other code, such as test frameworks, installs and removes handlers. The handler
// needs a separate stack: the fault may be the overflow of a fiber's.
void install_fault_handler() {
  if (struct sigaction present; !is_installed(&present)) {
    static std::mutex mutex;
    const std::lock_guard lock(mutex);
    if (!is_installed(&present)) {
      previous_action = present;
      struct sigaction action {};
      action.sa_sigaction = on_fault;
      action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
      sigemptyset(&action.sa_mask);
      sigaction(SIGSEGV, &action, nullptr);
    }
  }
  thread_local std::unique_ptr<std::byte[]> memory;
  if (!memory) {
    constexpr size_t bytes = 64 << 10;
    memory = std::make_unique<std::byte[]>(bytes);
    stack_t stack{};
    stack.ss_sp = memory.get();
    stack.ss_size = bytes;
    sigaltstack(&stack, nullptr);
  }
}
#else
void install_fault_handler() {}  // the sanitizer reports the access itself
#endif

// The blocks of this OS thread: one, unless a kernel's host code is itself inside a simulated launch (it
// never is).
Block& runner() {
  thread_local Block block;
  return block;
}

}  // namespace

void set_seed(uint64_t value) {
  seed_value() = value;
}
uint64_t seed() {
  return seed_value();
}

void run_grid(const char* kernel, Dim3 grid, Dim3 block, size_t dynamic_shared_bytes,
              const std::function<void()>& thread) {
  ATROUS_CHECK(block.count() <= max_threads_per_block && block.count() > 0 &&
                   dynamic_shared_bytes <= max_shared && grid.y <= 65535 && grid.z <= 65535 &&
                   grid.x <= 0x7fffffffu && block.z <= 64,
               ErrorKind::internal,
               "[sim] kernel {} asks for more than a GPU has (1024 threads, {} B shared, grid y and z "
               "65535). Got grid {}x{}x{} block {}x{}x{} shared {} B. Report this.",
               kernel, max_shared, grid.x, grid.y, grid.z, block.x, block.y, block.z, dynamic_shared_bytes);
  const uint64_t blocks = grid.count();
  const uint64_t base = mix(seed());
  race_release(&launch_start);
  struct Join {  // also after a failure
    ~Join() { race_acquire(&launch_end); }
  } join;
  // Block i of the schedule is block (i * step + offset) mod blocks: a permutation if step and blocks have no
  // common factor.
  const uint64_t offset = mix(base) % std::max<uint64_t>(1, blocks);
  uint64_t step = mix(base + 1) % std::max<uint64_t>(1, blocks) | 1;
  while (std::gcd(step, blocks) != 1) step += 2;
  const auto run = [&](int64_t begin, int64_t end) {
    const RaceBlind blind;
    install_fault_handler();
    Block& b = runner();
    ATROUS_ASSERT(!b.in_use);
    b.in_use = true;
    struct Release {
      Block& block;
      ~Release() { block.in_use = false; }
    } release{b};
    b.kernel = kernel;
    b.thread = &thread;
    b.shared.set_dynamic_bytes(dynamic_shared_bytes);
    for (int64_t i = begin; i < end; ++i) {
      const uint64_t linear =
          static_cast<uint64_t>((static_cast<unsigned __int128>(i) * step + offset) % blocks);
      const Dim3 index(static_cast<unsigned>(linear % grid.x),
                       static_cast<unsigned>(linear / grid.x % grid.y),
                       static_cast<unsigned>(linear / grid.x / grid.y));
      run_block(b, grid, block, index, mix(base ^ (linear * 0x9e3779b97f4a7c15u)));
    }
  };
  if (race_detector_is_on()) {
    run(0, static_cast<int64_t>(blocks));
  } else {
    // About 4096 CUDA threads per task.
    parallel_for(static_cast<int64_t>(blocks),
                 std::max<int64_t>(1, 4096 / static_cast<int64_t>(block.count())), run);
  }
}

void fail_kernel(const std::string& problem) {
  const RaceBlind blind;
  SimThread& t = me();
  Block& b = *t.block;
  race_release(&launch_end);
  b.problem = fmt::format("thread ({},{},{}): {}", t.index.x, t.index.y, t.index.z, problem);
  back_to_host(b, *t.fiber);
  __builtin_unreachable();
}

namespace {

void arrive(int id, unsigned threads, bool wait_here, bool check_site, const char* what, Site site) {
  const RaceBlind blind;
  Block& b = block_of(self);
  Barrier& barrier = b.barriers[id];
  if (barrier.arrived == 0) {
    barrier.expected = threads;
    barrier.site = site;
  } else if (barrier.expected != threads) {
    fail_kernel(fmt::format("{} {} expects {} threads at {} but {} at {}", what, id, barrier.expected,
                            name_of_site(barrier.site), threads, name_of_site(site)));
  } else if (check_site && !same_site(site, barrier.site)) {
    fail_kernel(fmt::format("divergent barrier: threads of one block wait in {} at {} and at {}", what,
                            name_of_site(barrier.site), name_of_site(site)));
  }
  const unsigned generation = barrier.generation;
  race_release(&barrier.race_object[generation & 1]);
  if (wait_here) barrier.waiting.push_back(&me());
  if (++barrier.arrived == barrier.expected) {
    for (SimThread* t : barrier.waiting) b.ready.push_back(t);
    barrier.waiting.clear();
    barrier.arrived = 0;
    ++barrier.generation;
  }
  if (!wait_here) return;
  wait(what, site);
  race_acquire(&barrier.race_object[generation & 1]);
}

}  // namespace

void sync_threads(Site site) {
  arrive(0, static_cast<unsigned>(block_of(self).thread_count), true, true, "__syncthreads", site);
}

void sync_named(int id, unsigned threads, Site site) {
  if (id < 1 || id > 15 || threads % 32)
    fail_kernel(fmt::format("named barrier {} of {} threads at {}: ids are 1..15, counts multiples of 32", id,
                            threads, name_of_site(site)));
  arrive(id, threads, true, false, "named barrier", site);
}

void arrive_named(int id, unsigned threads, Site site) {
  if (id < 1 || id > 15 || threads % 32)
    fail_kernel(fmt::format("named barrier {} of {} threads at {}: ids are 1..15, counts multiples of 32", id,
                            threads, name_of_site(site)));
  arrive(id, threads, false, false, "named barrier", site);
}

void warp_collective(unsigned mask, void* data, Compute* compute, bool ordered, const char* what, Site site) {
  const RaceBlind blind;
  SimThread& t = me();
  Block& b = *t.block;
  Warp& warp = b.warps[t.linear / 32];
  const unsigned bit = 1u << t.lane;
  if (!(mask & bit))
    fail_kernel(fmt::format("{} at {}: lane {} calls it but is not in the mask {:#010x}", what,
                            name_of_site(site), t.lane, mask));
  if (mask & warp.exited)
    fail_kernel(
        fmt::format("{} at {}: the mask {:#010x} names lanes {:#010x} that have exited or do not exist", what,
                    name_of_site(site), mask, mask & warp.exited));
  Collective* group = nullptr;
  for (Collective& c : warp.pending) {
    if (c.mask == mask) {
      group = &c;
    } else if (c.mask & mask) {
      fail_kernel(fmt::format("{} at {}: wrong lane mask: {:#010x} here, {:#010x} at {}", what,
                              name_of_site(site), mask, c.mask, name_of_site(c.site)));
    }
  }
  if (!group) {
    warp.pending.push_back({});
    group = &warp.pending.back();
    group->mask = mask;
    group->compute = compute;
    group->site = site;
    group->generation = warp.generation++;
  }
  if (group->compute != compute) {
    fail_kernel(fmt::format("{} at {}: the other lanes of the mask {:#010x} wait in another collective at {}",
                            what, name_of_site(site), mask, name_of_site(group->site)));
  }
  group->data[t.lane] = data;
  group->arrived |= bit;
  const unsigned generation = group->generation;
  if (ordered) race_release(&warp.race_object[generation & 1]);
  if (group->arrived == mask) {
    if (compute) compute(mask, group->data);
    for (unsigned lane = 0; lane < 32; ++lane) {
      if (mask >> lane & 1) b.ready.push_back(&b.threads[t.linear - t.lane + lane]);
    }
    warp.pending.erase(warp.pending.begin() + (group - warp.pending.data()));
  }
  wait(what, site);
  if (ordered) race_acquire(&warp.race_object[generation & 1]);
}

void* shared_memory(const void* tag, size_t bytes, size_t alignment) {
  const RaceBlind blind;
  Block& b = block_of(self);
  void* memory = b.shared.variable(tag, bytes, alignment);
  if (!memory) {
    fail_kernel(
        fmt::format("more than {} B of static shared memory, or than {} B together with {} B of dynamic",
                    max_static_shared, max_shared, b.shared.dynamic_bytes()));
  }
  return memory;
}

void* dynamic_shared_memory() {
  return block_of(self).shared.dynamic();
}
bool is_shared(const void* address, size_t bytes) {
  return block_of(self).shared.contains(address, bytes);
}
void poison_shared(void* address, size_t bytes) {
  const RaceBlind blind;
  fill_poison(address, bytes);
}
uint32_t random_choice() {
  return block_of(self).random.next();
}

void thread_fence() {
  race_acquire(&fence_object);
  race_release(&fence_object);
}

void issue_async_copy(const AsyncCopy& copy) {
  const RaceBlind blind;
  me().copies.push_back(copy);
}

void commit_async_group() {
  const RaceBlind blind;
  me().group_ends.push_back(me().copies.size());
}

size_t take_async_copies(int pending, AsyncCopy* out, size_t capacity) {
  const RaceBlind blind;
  SimThread& t = me();
  const size_t groups = t.group_ends.size();
  if (groups <= static_cast<size_t>(pending)) return 0;
  const size_t end = t.group_ends[groups - 1 - static_cast<size_t>(pending)];
  const size_t count = std::min(end, capacity);
  std::copy_n(t.copies.begin(), count, out);
  t.copies.erase(t.copies.begin(), t.copies.begin() + static_cast<std::ptrdiff_t>(count));
  for (size_t& e : t.group_ends) e = e > count ? e - count : 0;
  while (!t.group_ends.empty() && t.group_ends.size() > static_cast<size_t>(pending) &&
         t.group_ends.front() == 0) {
    t.group_ends.erase(t.group_ends.begin());
  }
  return count;
}

}  // namespace atrous::simulator
