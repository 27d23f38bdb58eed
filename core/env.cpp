#include "core/env.h"

#include <charconv>
#include <cstdlib>

#include "core/error.h"

namespace atrous::env {
namespace {

constexpr Variable variables[] = {
    {"ATROUS_THREADS", "integer", "cores the process may use", "CPU threads of the one thread pool"},
    {"ATROUS_IMPL", "op:name[,op:name]", "",
     "force an implementation, e.g. conv2d:ref or conv2d.forward:ref"},
    {"ATROUS_VERBOSE", "dispatch", "", "print which implementation each op chose, and why not the others"},
    {"ATROUS_VALIDATE", "ref", "", "run every op on its reference too and compare"},
    {"ATROUS_ISA", "generic|avx2|avx512", "best the CPU has",
     "highest instruction set of the hand-written kernels (compiler-made versions are chosen by the loader)"},
    {"ATROUS_PYTHON", "path", "/usr/bin/python3",
     "Python with torch, the peer of `atrous bench nets --peers`"},
    {"ATROUS_SYNC", "1", "",
     "wait for every launch on a device and check it, so that an error names its kernel"},
    {"ATROUS_SIM_LAG", "1", "",
     "the simulated device runs work late, in any order its streams and events allow"},
    {"ATROUS_SIM_MEMORY", "bytes", "17179869184", "memory of the simulated device"},
    {"ATROUS_SIM_SEED", "integer", "1", "seed of every random choice of the simulator"},
    {"ATROUS_SIM_CHECK", "1|all", "",
     "after every simulated kernel, check the guards around all memory and search it for unwritten shared "
     "memory (1: allocations up to 4 MiB)"},
    {"NO_COLOR", "any", "", "no colours on the terminal"},
};

std::string get(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

uint64_t number(const char* name, uint64_t otherwise) {
  const std::string text = get(name);
  uint64_t value = otherwise;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  ATROUS_CHECK(text.empty() || (error == std::errc() && end == text.data() + text.size()), ErrorKind::usage,
               "[env] {} must be a whole number. Got \"{}\".", name, text);
  return value;
}

}  // namespace

std::span<const Variable> table() {
  return variables;
}
std::string threads() {
  return get("ATROUS_THREADS");
}
std::string implementation() {
  return get("ATROUS_IMPL");
}
bool verbose_dispatch() {
  return get("ATROUS_VERBOSE").find("dispatch") != std::string::npos;
}
bool validate_against_ref() {
  return get("ATROUS_VALIDATE") == "ref";
}
std::string python() {
  return get("ATROUS_PYTHON");
}
std::string isa() {
  return get("ATROUS_ISA");
}
bool sync() {
  return get("ATROUS_SYNC") == "1";
}
bool sim_lag() {
  return get("ATROUS_SIM_LAG") == "1";
}
uint64_t sim_memory() {
  return number("ATROUS_SIM_MEMORY", uint64_t{16} << 30);
}
uint64_t sim_seed() {
  return number("ATROUS_SIM_SEED", 1);
}
bool sim_check() {
  return get("ATROUS_SIM_CHECK") == "1" || sim_check_all();
}
bool sim_check_all() {
  return get("ATROUS_SIM_CHECK") == "all";
}

}  // namespace atrous::env
