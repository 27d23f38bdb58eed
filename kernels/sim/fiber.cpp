// Compiled without ThreadSanitizer: the scheduler's own memory must be invisible to the race detector.
#include "kernels/sim/fiber.h"

#include <sys/mman.h>

#include <cstdint>
#include <cstring>
#include <new>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

#ifdef ATROUS_SIM_TSAN
extern "C" {
void* __tsan_get_current_fiber();
void* __tsan_create_fiber(unsigned flags);
void __tsan_switch_to_fiber(void* fiber, unsigned flags);
void __tsan_acquire(void* address);
void __tsan_release(void* address);
void AnnotateIgnoreReadsBegin(const char* file, int line);
void AnnotateIgnoreWritesBegin(const char* file, int line);
void AnnotateIgnoreReadsEnd(const char* file, int line);
void AnnotateIgnoreWritesEnd(const char* file, int line);
}
#endif

#if defined(__x86_64__)
// Saves the callee-saved registers on the old stack, restores them from the new one. The floating-point
// control words are the same everywhere in this program.
asm(R"(
.text
.p2align 4
.globl atrous_switch_stack
.type atrous_switch_stack, @function
atrous_switch_stack:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size atrous_switch_stack, .-atrous_switch_stack
)");
extern "C" void atrous_switch_stack(void** save, void* load);
#else
#include <ucontext.h>
#endif

namespace atrous::simulator {

#if defined(__SANITIZE_ADDRESS__) || defined(ATROUS_SIM_TSAN)
const size_t fiber_stack_bytes = 256 << 10;
#else
const size_t fiber_stack_bytes = 64 << 10;
#endif

namespace {

#if defined(__x86_64__)
void prepare(Fiber& fiber, void (*entry)()) {
  // As if `entry` had been called: the stack is 16-byte aligned before the return address, which is 0.
  auto* top = reinterpret_cast<void**>(fiber.stack + fiber.stack_bytes);
  *--top = nullptr;
  *--top = reinterpret_cast<void*>(entry);
  for (int i = 0; i < 6; ++i) *--top = nullptr;
  fiber.stack_pointer = top;
}

void jump(Fiber& from, Fiber& to) {
  atrous_switch_stack(&from.stack_pointer, to.stack_pointer);
}
#else
// Other processors: the C library's contexts, ten times slower.
void prepare(Fiber& fiber, void (*entry)()) {
  auto* context = static_cast<ucontext_t*>(fiber.stack_pointer);
  if (!context) fiber.stack_pointer = context = new ucontext_t;
  getcontext(context);
  context->uc_stack.ss_sp = fiber.stack;
  context->uc_stack.ss_size = fiber.stack_bytes;
  context->uc_link = nullptr;
  makecontext(context, entry, 0);
}

void jump(Fiber& from, Fiber& to) {
  if (!from.stack_pointer) from.stack_pointer = new ucontext_t;
  swapcontext(static_cast<ucontext_t*>(from.stack_pointer), static_cast<ucontext_t*>(to.stack_pointer));
}
#endif

#if defined(__SANITIZE_ADDRESS__)
// Where the switch in progress came from, for the arrival side.
thread_local Fiber* left = nullptr;
#endif

}  // namespace

Fiber make_fiber(void (*entry)()) {
  Fiber fiber;
  fiber.stack_bytes = fiber_stack_bytes;
  void* memory = mmap(nullptr, fiber_guard_bytes + fiber.stack_bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  mprotect(memory, fiber_guard_bytes, PROT_NONE);
  fiber.stack = static_cast<std::byte*>(memory) + fiber_guard_bytes;
#ifdef ATROUS_SIM_TSAN
  fiber.tsan_fiber = __tsan_create_fiber(0);
#endif
  prepare(fiber, entry);
  return fiber;
}

void reset_fiber(Fiber& fiber, void (*entry)()) {
#if defined(__SANITIZE_ADDRESS__)
  __asan_unpoison_memory_region(fiber.stack, fiber.stack_bytes);
  fiber.asan_fake_stack = nullptr;
#endif
  prepare(fiber, entry);
}

void switch_fiber(Fiber& from, Fiber& to) {
#if defined(__SANITIZE_ADDRESS__)
  left = &from;
  __sanitizer_start_switch_fiber(&from.asan_fake_stack, to.stack, to.stack_bytes);
#endif
#ifdef ATROUS_SIM_TSAN
  __tsan_switch_to_fiber(to.tsan_fiber, 1);  // 1: this switch orders no memory accesses
#endif
  jump(from, to);
#if defined(__SANITIZE_ADDRESS__)
  // Back on the stack of `from`. ASan reports the bounds of the stack that was left: kept for an OS thread's.
  const void* bottom = nullptr;
  size_t size = 0;
  __sanitizer_finish_switch_fiber(from.asan_fake_stack, &bottom, &size);
  if (left && !left->stack_bytes) {
    left->stack = static_cast<std::byte*>(const_cast<void*>(bottom));
    left->stack_bytes = size;
  }
#endif
}

void arrived_on_new_fiber() {
#if defined(__SANITIZE_ADDRESS__)
  const void* bottom = nullptr;
  size_t size = 0;
  __sanitizer_finish_switch_fiber(nullptr, &bottom, &size);
  if (left && !left->stack_bytes) {
    left->stack = static_cast<std::byte*>(const_cast<void*>(bottom));
    left->stack_bytes = size;
  }
#endif
}

#ifdef ATROUS_SIM_TSAN
void* current_race_thread() {
  return __tsan_get_current_fiber();
}
void race_release(void* object) {
  __tsan_release(object);
}
void race_acquire(void* object) {
  __tsan_acquire(object);
}
bool race_detector_is_on() {
  return true;
}
RaceBlind::RaceBlind() {
  AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
  AnnotateIgnoreWritesBegin(__FILE__, __LINE__);
}
RaceBlind::~RaceBlind() {
  AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
  AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
}
#else
void* current_race_thread() {
  return nullptr;
}
void race_release(void*) {}
void race_acquire(void*) {}
bool race_detector_is_on() {
  return false;
}
RaceBlind::RaceBlind() {}
RaceBlind::~RaceBlind() {}
#endif

}  // namespace atrous::simulator
