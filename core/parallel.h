// One pool of threads for the whole program.
//
// Determinism: parallel_for splits [0, n) into chunks of `grain` whatever the number of threads, and a chunk
// is always computed by one thread in order. An op that reduces keeps one partial result per chunk (or per
// fixed block) and adds them in chunk order; then its result is bit-identical on any number of threads.
#pragma once

#include <cstdint>
#include <type_traits>
#include <utility>

namespace atrous {

// Non-owning reference to a callable void(int64_t begin, int64_t end).
class RangeFn {
 public:
  template <class F>
  requires(!std::is_same_v<std::remove_cvref_t<F>, RangeFn>) RangeFn(F&& f)
      : object_(const_cast<void*>(static_cast<const void*>(&f))),
        call_([](void* o, int64_t b, int64_t e) { (*static_cast<std::remove_reference_t<F>*>(o))(b, e); }) {}
  void operator()(int64_t begin, int64_t end) const { call_(object_, begin, end); }

 private:
  void* object_;
  void (*call_)(void*, int64_t, int64_t);
};

// Calls f(begin, end) for consecutive chunks of at most `grain` indices. Chunks run on all threads; the
// caller takes part and returns when all are done. The first exception thrown by a chunk is rethrown here.
// Nested calls run on the calling thread.
void parallel_for(int64_t n, int64_t grain, RangeFn f);

// Threads used by parallel_for, the caller included. Initially ATROUS_THREADS, or the cores this process may
// use (affinity and cgroup quota considered).
int num_threads();
void set_num_threads(int count);
// Cores this process may use.
int available_cores();

}  // namespace atrous
