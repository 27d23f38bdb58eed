// Kernels with one mistake each, and the same kernels without it: what the simulator must report, and what it
// must not.
#pragma once

#include <span>
#include <string>

namespace atrous::broken {

// What finds the mistake besides the simulator itself. It names the source line, which ends in a comment
// "here: <name>".
enum class Detector { none, thread_sanitizer, address_sanitizer };

struct Example {
  const char* name;
  // Runs the kernel with or without its mistake. "wrong result" if there is one; throws what the simulator
  // reports.
  std::string (*run)(bool broken);
  // Parts of what a build without sanitizers says, with '|' between: one of them, for at least one seed.
  // Empty: only the detector finds it.
  const char* report;
  Detector detector = Detector::none;
};
std::span<const Example> examples();

}  // namespace atrous::broken
