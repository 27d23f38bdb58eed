// Starting threads.
#pragma once

#include <cstdint>
#include <functional>
#include <thread>
#include <vector>

namespace atrous {

// Adds `count` threads that call `work`. If the system refuses one, calls `stop`, after which `work` must
// return, ends those that run, and throws Error(memory) "[where] ... Got 3 of 8 threads: reason. advice".
void start_threads(std::vector<std::thread>& threads, int64_t count, const std::function<void()>& work,
                   const std::function<void()>& stop, const char* where, const char* advice);

}  // namespace atrous
