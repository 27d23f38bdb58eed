#include "core/threads.h"

#include <new>
#include <system_error>

#include "core/error.h"

namespace atrous {

void start_threads(std::vector<std::thread>& threads, int64_t count, const std::function<void()>& work,
                   const std::function<void()>& stop, const char* where, const char* advice) {
  const auto end = [&] {
    const size_t started = threads.size();
    stop();
    for (std::thread& thread : threads)
      thread.join();  // one that is destroyed while it runs ends the program
    threads.clear();
    return started;
  };
  try {
    threads.reserve(static_cast<size_t>(count));
    for (int64_t i = 0; i < count; ++i) threads.emplace_back(work);
  } catch (const std::system_error& error) {
    const size_t started = end();
    fail(ErrorKind::memory, "[{}] the system must give every thread. Got {} of {} threads: {}. {}", where,
         started, count, error.what(), advice);
  } catch (const std::bad_alloc&) {
    end();
    throw;
  }
}

}  // namespace atrous
