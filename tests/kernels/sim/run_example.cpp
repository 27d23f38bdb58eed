// run_example list race|address          names of the examples that this detector finds
// run_example NAME broken|correct        runs one under several schedules; prints what the simulator reports
#include <cstdio>
#include <cstring>
#include <string>

#include "kernels/sim/sim.h"
#include "tests/kernels/sim/broken_kernels.h"

using namespace atrous;

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  if (!std::strcmp(argv[1], "list")) {
    const auto wanted = std::strcmp(argv[2], "race") ? broken::Detector::address_sanitizer
                                                     : broken::Detector::thread_sanitizer;
    for (const broken::Example& e : broken::examples()) {
      if (e.detector == wanted) std::puts(e.name);
    }
    return 0;
  }
  const bool is_broken = !std::strcmp(argv[2], "broken");
  for (const broken::Example& e : broken::examples()) {
    if (std::strcmp(e.name, argv[1]) != 0) continue;
    bool reported = false;
    for (uint64_t seed = 1; seed <= 4; ++seed) {
      simulator::set_seed(seed);
      try {
        const std::string problem = e.run(is_broken);
        reported |= !problem.empty();
        if (!problem.empty()) std::puts(problem.c_str());
      } catch (const std::exception& error) {
        reported = true;
        std::puts(error.what());
      }
    }
    return reported ? 1 : 0;
  }
  return 2;
}
