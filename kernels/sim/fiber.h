// Fibers: separate stacks on which the simulator runs CUDA threads, switched by hand in about 10 ns.
//
// A fiber belongs to the OS thread that created it. Under AddressSanitizer and ThreadSanitizer every switch
// is announced; each CUDA thread is then a separate thread for the race detector.
#pragma once

#include <cstddef>

namespace atrous::simulator {

// A saved point of execution. The context of the OS thread itself is a Fiber without a separate stack.
struct Fiber {
  void* stack_pointer = nullptr;  // where execution continues
  std::byte* stack = nullptr;     // lowest address; nullptr for an OS thread's own stack
  size_t stack_bytes = 0;
  void* asan_fake_stack = nullptr;
  void* tsan_fiber = nullptr;  // its identity to the race detector
};

// Bytes of one stack. Kernels keep little on it; sanitizers need more.
extern const size_t fiber_stack_bytes;
// Below each stack, not to be touched, so that an overflow stops at once.
inline constexpr size_t fiber_guard_bytes = 64 << 10;

// A fiber that will call entry() on its own stack at the first switch to it. entry never returns.
Fiber make_fiber(void (*entry)());
// As after make_fiber, on the stack that it has. The function that ran there is dropped without unwinding.
void reset_fiber(Fiber& fiber, void (*entry)());

// Stops here, continues in `to`; returns when another fiber switches back.
void switch_fiber(Fiber& from, Fiber& to);
// Must be the first call on a new fiber.
void arrived_on_new_fiber();

// For the race detector; no-ops without ThreadSanitizer.
void* current_race_thread();
// Everything before a release of `object` happens before what follows a later acquire of it.
void race_release(void* object);
void race_acquire(void* object);
bool race_detector_is_on();
// While alive, the race detector ignores the memory accesses of this thread.
class RaceBlind {
 public:
  RaceBlind();
  ~RaceBlind();
  RaceBlind(const RaceBlind&) = delete;
  RaceBlind& operator=(const RaceBlind&) = delete;
};

}  // namespace atrous::simulator
