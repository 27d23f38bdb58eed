// Progress of a command on stderr: a bar with rate and time left on a terminal, a line every few seconds
// otherwise.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace atrous::cli {

class Progress {
 public:
  // `what` names the work ("eval"), `unit` what is counted ("images").
  Progress(std::string what, std::string unit);
  // Leaves the terminal's line clean, also when an error ends the work.
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void update(int64_t done, int64_t total);

 private:
  using Clock = std::chrono::steady_clock;
  std::string what_, unit_;
  bool terminal_;
  Clock::time_point start_, shown_;
};

}  // namespace atrous::cli
