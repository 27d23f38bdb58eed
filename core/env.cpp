#include "core/env.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <iterator>
#include <string_view>

#include "core/error.h"
#include "core/text.h"

namespace atrous::env {
namespace {

constexpr Variable variables[] = {
    {"ATROUS_THREADS", "integer", "cores the process may use", "CPU threads of the one thread pool"},
    {"ATROUS_IMPL", "op:name[,op:name]", "",
     "force implementations of an op or of one of its entries, e.g. conv2d:ref on the CPU, "
     "conv2d.forward:naive on cuda and sim"},
    {"ATROUS_VERBOSE", "dispatch", "", "print which implementation each op chose, and why not the others"},
    {"ATROUS_VALIDATE", "ref", "", "run every op on its reference too and compare"},
    {"ATROUS_ISA", "generic|avx2|avx512", "best the CPU has",
     "highest instruction set of the hand-written kernels (compiler-made versions are chosen by the loader)"},
    {"ATROUS_PYTHON", "path", "/usr/bin/python3",
     "Python with torch, the peer of `atrous bench nets --peers`"},
    {"ATROUS_WEIGHTS", "folder", "~/.cache/atrous",
     "published weights, found by name: \"model.weights\": \"resnet18\""},
    {"ATROUS_SYNC", "0|1", "0",
     "wait for every launch on a device and check it, so that an error names its kernel"},
    {"ATROUS_SIM_LAG", "0|1", "0",
     "the simulated device runs work late, in any order its streams and events allow"},
    {"ATROUS_SIM_MEMORY", "bytes", "17179869184", "memory of the simulated device"},
    {"ATROUS_SIM_SEED", "integer", "1", "seed of every random choice of the simulator"},
    {"ATROUS_SIM_CHECK", "0|1|all", "0",
     "after every simulated kernel, check the guards around all memory and search it for unwritten shared "
     "memory (1: allocations up to 4 MiB)"},
    {"NO_COLOR", "any", "", "no colours on the terminal"},
};

// The value as set. Error(usage) if the variable has choices and it is not one of them.
std::string get(const char* name, std::initializer_list<std::string_view> choices = {}) {
  const char* set = std::getenv(name);
  const std::string value = set ? set : "";
  if (value.empty() || choices.size() == 0) return value;
  std::string list;
  for (const std::string_view choice : choices) {
    if (value == choice) return value;
    list += fmt::format("{}{}", list.empty() ? "" : ", ", choice);
  }
  fail(ErrorKind::usage, "[env] {} must be {}{}. Got \"{}\". Correct it, or unset it.", name,
       choices.size() > 1 ? "one of " : "", list, value);
}

uint64_t number(const char* name, const char* what, uint64_t least, uint64_t most, uint64_t otherwise,
                const char* example) {
  const std::string text = get(name);
  if (text.empty()) return otherwise;
  uint64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  ATROUS_CHECK(error == std::errc() && stop == end && value >= least && value <= most, ErrorKind::usage,
               "[env] {} must be a number{} from {} to {}, in digits only. Got \"{}\". Write for example {}.",
               name, what, least, most, text, example);
  return value;
}

bool is_known(std::string_view name) {
  return std::ranges::any_of(variables, [&](const Variable& v) { return name == v.name; });
}

}  // namespace

std::span<const Variable> table() {
  return variables;
}
int threads() {
  return static_cast<int>(number("ATROUS_THREADS", "", 1, 1024, 0, "ATROUS_THREADS=4"));
}
std::string implementation() {
  return get("ATROUS_IMPL");
}
bool verbose_dispatch() {
  return get("ATROUS_VERBOSE", {"dispatch"}) == "dispatch";
}
bool validate_against_ref() {
  return get("ATROUS_VALIDATE", {"ref"}) == "ref";
}
std::string python() {
  return get("ATROUS_PYTHON");
}
std::string weights() {
  return get("ATROUS_WEIGHTS");
}
std::string isa() {
  return get("ATROUS_ISA", {"generic", "avx2", "avx512"});
}
bool sync() {
  return get("ATROUS_SYNC", {"0", "1"}) == "1";
}
bool sim_lag() {
  return get("ATROUS_SIM_LAG", {"0", "1"}) == "1";
}
uint64_t sim_memory() {
  return number("ATROUS_SIM_MEMORY", " of bytes", 1, uint64_t{1} << 48, uint64_t{16} << 30,
                "ATROUS_SIM_MEMORY=4294967296 for 4 GiB");
}
uint64_t sim_seed() {
  return number("ATROUS_SIM_SEED", "", 0, UINT64_MAX, 1, "ATROUS_SIM_SEED=7");
}
bool sim_check() {
  const std::string value = get("ATROUS_SIM_CHECK", {"0", "1", "all"});
  return value == "1" || value == "all";
}
bool sim_check_all() {
  return sim_check() && get("ATROUS_SIM_CHECK") == "all";
}

std::vector<std::string> check() {
  threads();
  verbose_dispatch();
  validate_against_ref();
  isa();
  sync();
  sim_lag();
  sim_memory();
  sim_seed();
  sim_check();

  constexpr std::string_view prefix = "ATROUS_";
  std::vector<std::string> known, warnings;
  for (const Variable& v : variables) {
    const std::string_view name = v.name;
    if (name.starts_with(prefix)) known.emplace_back(name.substr(prefix.size()));
  }
  for (char** entry = environ; entry && *entry; ++entry) {
    const std::string_view text = *entry, name = text.substr(0, text.find('='));
    if (!name.starts_with(prefix) || is_known(name)) continue;
    const std::string nearest = nearest_word(std::string(name.substr(prefix.size())), known);
    warnings.push_back(fmt::format("[env] atrous reads no variable {}, so it is ignored.{}", name,
                                   nearest.empty() ? " `atrous doctor` lists those it reads."
                                                   : fmt::format(" Did you mean {}{}?", prefix, nearest)));
  }
  return warnings;
}

}  // namespace atrous::env
