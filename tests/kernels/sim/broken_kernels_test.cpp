// The simulator finds every mistake of broken_kernels.cu, and nothing in the kernels without it.
#include <catch2/catch.hpp>

#include "core/device_runtime.h"
#include "core/device_sim.h"
#include "core/error.h"
#include "kernels/sim/sim.h"
#include "tests/kernels/sim/broken_kernels.h"

using namespace atrous;

namespace {

constexpr uint64_t seeds = 8;

// For one schedule: empty, or what was reported.
std::string run(const broken::Example& example, bool broken, uint64_t seed) {
  simulator::set_seed(seed);
  SimOptions options = sim_options();
  const SimOptions before = options;
  options.check = true;
  set_sim_options(options);
  std::string problem;
  try {
    problem = example.run(broken);
  } catch (const std::exception& e) {
    problem = e.what();
  }
  try {  // damage is found once more when the memory is freed
    synchronize(Device::sim);
  } catch (const Error&) {
  }
  set_sim_options(before);
  return problem;
}

bool has_one_of(const std::string& text, std::string parts) {
  for (size_t bar; !parts.empty(); parts.erase(0, bar == parts.npos ? bar : bar + 1)) {
    bar = parts.find('|');
    if (text.find(parts.substr(0, bar)) != text.npos) return true;
  }
  return false;
}

}  // namespace

TEST_CASE("every broken kernel is reported, none of its correct twins") {
  const uint64_t seed_before = simulator::seed();
  for (const broken::Example& example : broken::examples()) {
    CAPTURE(example.name);
    std::string reports;
    for (uint64_t seed = 1; seed <= seeds; ++seed) {
      CAPTURE(seed);
      CHECK(run(example, false, seed) == "");
#ifdef ATROUS_SANITIZED  // a sanitizer ends or fails the program at the mistake: races.sh and addresses.sh
      if (example.detector != broken::Detector::none) continue;
#endif
      const std::string problem = run(example, true, seed);
      reports += problem + "\n";
      // A report always says what the mistake is, whichever schedule; without one the result is wrong or,
      // where the order happens to be the right one, right.
      if (!*example.report) CHECK(problem == "");
    }
#ifdef ATROUS_SANITIZED
    if (example.detector != broken::Detector::none) continue;
#endif
    CAPTURE(reports);
    CHECK((!*example.report || has_one_of(reports, example.report)));
  }
  simulator::set_seed(seed_before);
}

TEST_CASE("reports name the kernel and how to repeat it") {
  for (const broken::Example& example : broken::examples()) {
    if (std::string(example.name) != "two_barriers") continue;
    const std::string problem = run(example, true, 3);
    CAPTURE(problem);
    CHECK(problem.find("kernel two_barriers<true> grid 1x1x1 block 64x1x1 shared 0 B, block (0,0,0)") !=
          problem.npos);
    CHECK(problem.find("kernels/sim/broken_kernels.cu:") != problem.npos);
    CHECK(problem.find("ATROUS_SIM_SEED=") != problem.npos);
  }
}
