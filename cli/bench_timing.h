// Timing for `atrous bench`: steady clock, opponents interleaved, medians with their spread.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "core/device.h"

namespace atrous::cli {

struct Timing {
  double median = 0;  // seconds
  double low = 0;     // quartiles
  double high = 0;
  int64_t repeats = 0;
};

// The q-quantile of values, linear between neighbours. Not empty.
double quantile(std::vector<double> values, double q);
Timing summarize(const std::vector<double>& seconds);

// Runs all contenders in turn, `repeats` rounds after one warm-up round each; every other round in reverse
// order (ABBA), so that drift hits all alike. A contender gets the number of the round, to rotate its inputs,
// and returns the seconds it took. If there are several, each first works for 20 ms that do not count, unless
// its work is long: until the other's threads have stopped spinning and its own are awake on separate cores.
std::vector<std::vector<double>> interleave(
    const std::vector<std::function<double(int64_t round)>>& contenders, int64_t repeats);

double seconds_of(const std::function<void()>& f);
// The same for work that f queues on the device's current stream; on a GPU by its own clock.
double seconds_on(Device device, const std::function<void()>& f);

// Measured ceilings of this machine with the threads of the pool.
struct Peaks {
  double gflops = 0;  // f32 fused multiply-adds in registers, as two operations each
  double gbytes = 0;  // copying, read plus written
};
Peaks measure_peaks();
// The ceilings of a device; 0 if not measured: the copy alone on a GPU, nothing on the simulator.
Peaks measure_peaks(Device device);

}  // namespace atrous::cli
