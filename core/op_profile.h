// Profile of a piece of host work, op by op: what `atrous bench nets --profile` prints.
//
//   OpProfile profile;  // every op of this thread, until it is destroyed
//   step();
//   for (const OpProfile::Row& row : profile.rows()) ...
//
// Ops report themselves through OpTimer, most of them in kernels/common/entry.h. On a device this is the
// time of launches, not of kernels; look there with the device's own profiler (docs/gpu.md).
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <tuple>
#include <vector>

namespace atrous {

// One op call's problem and cost.
struct OpWork {
  std::string problem;  // its one-line descriptor
  double flops = 0;     // a multiply and an add count as two; 0 if unknown
};

class OpProfile {
 public:
  struct Row {                   // calls of one entry on equal problems
    std::string entry;           // "conv2d.forward"
    std::string implementation;  // "winograd"
    std::string problem;
    int64_t calls = 0;
    double seconds = 0;  // without the ops that these calls called: rows add up to the time inside ops
    double flops = 0;    // of all calls
  };

  OpProfile();  // Error(internal) if this thread has one already
  ~OpProfile();
  OpProfile(const OpProfile&) = delete;
  OpProfile& operator=(const OpProfile&) = delete;

  // The slowest first.
  std::vector<Row> rows() const;
  // The profile of this thread; null if profiling is off, and checking that is then the only cost of an op.
  static OpProfile* current() { return current_; }

 private:
  friend class OpTimer;
  static inline thread_local OpProfile* current_ = nullptr;
  std::map<std::tuple<std::string, std::string, std::string>, Row> rows_;
  double nested_ = 0;  // seconds in ops that the running op has called
};

// The time from here to the end of the scope is that of an op.
class OpTimer {
 public:
  // `describe` gives the OpWork and is only called while there is a profile.
  template <class Describe>
  OpTimer(const char* entry, const char* implementation, const Describe& describe)
      : profile_(OpProfile::current()) {
    if (profile_) begin(entry, implementation, describe());
  }
  ~OpTimer() {
    if (profile_) end();
  }
  OpTimer(const OpTimer&) = delete;
  OpTimer& operator=(const OpTimer&) = delete;

 private:
  void begin(const char* entry, const char* implementation, const OpWork& work);
  void end();
  OpProfile* const profile_;
  OpProfile::Row* row_ = nullptr;
  double outer_nested_ = 0;  // of the enclosing op, so far
  std::chrono::steady_clock::time_point start_;
};

}  // namespace atrous
