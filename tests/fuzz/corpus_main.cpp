// fuzz_corpus FOLDER...: runs every harness once over its corpus, FOLDER/<harness>/*. The regression test of
// builds without libFuzzer.
#include <sys/resource.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <vector>

#include "harness.h"

namespace fuzz {
namespace {

namespace fs = std::filesystem;

std::map<std::string, Harness>& harnesses() {
  static std::map<std::string, Harness> all;
  return all;
}

std::string running;  // the input, for the message of a finding

void say_input(int) {
  std::fprintf(stderr, "at %s\n", running.c_str());
  std::signal(SIGABRT, SIG_DFL);
}

std::vector<fs::path> inputs_of(const std::string& harness, int folders, char** folder) {
  std::vector<fs::path> files;
  for (int i = 0; i < folders; ++i) {
    const fs::path corpus = fs::path(folder[i]) / harness;
    if (!fs::is_directory(corpus)) continue;
    for (const auto& file : fs::directory_iterator(corpus)) files.push_back(file.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

// False unless both outcomes occur: a corpus that is refused as a whole checks nothing, and so does a reader
// that takes everything.
bool run(const std::string& name, Harness harness, const std::vector<fs::path>& files) {
  const Counts before = counts();
  for (const fs::path& file : files) {
    running = file.string();
    std::ifstream in(file, std::ios::binary);
    const std::string text{std::istreambuf_iterator<char>(in), {}};
    harness(bytes_of(text));
  }
  const Counts after = counts();
  const int64_t accepted = after.accepted - before.accepted, refused = after.refused - before.refused;
  std::printf("%-12s %4zu inputs, %5lld accepted, %5lld refused\n", name.c_str(), files.size(),
              static_cast<long long>(accepted), static_cast<long long>(refused));
  if (accepted > 0 && refused > 0) return true;
  std::printf("%s: FAILED, the corpus must hold inputs that are accepted and inputs that are refused\n",
              name.c_str());
  return false;
}

}  // namespace

Registration::Registration(const char* name, Harness harness) {
  harnesses()[name] = harness;
}

}  // namespace fuzz

int main(int argc, char** argv) {
  std::signal(SIGABRT, fuzz::say_input);
  bool passed = argc > 1 && !fuzz::harnesses().empty();
  for (const auto& [name, harness] : fuzz::harnesses()) {
    passed &= fuzz::run(name, harness, fuzz::inputs_of(name, argc - 1, argv + 1));
  }
  return passed ? 0 : 1;
}
