// The rows of an entry (kernels/common/entry.h), and how one of them is chosen.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/cpu.h"
#include "core/tensor.h"
#include "kernels/common/arithmetic.h"

namespace atrous::kernels {

// A feature that a processor may lack.
struct Needs {
  const char* text;  // "needs AVX-512"
  bool (*met)();
};
inline constexpr Needs needs_avx2{"needs AVX2", [] { return cpu_isa() >= Isa::avx2; }};
inline constexpr Needs needs_avx512{"needs AVX-512", [] { return cpu_isa() >= Isa::avx512; }};

// Attributes that few implementations have.
template <class Problem>
struct Traits {
  Accuracy accuracy = Accuracy::reordered;
  const Needs* needs = nullptr;
  bool (*prefers)(const Problem&) = nullptr;  // whether it is worth its costs; null: always
  bool deterministic = true;                  // false: adds in the order in which blocks happen to finish
  bool rounds_prologue = false;  // bf16: rounds what a fused prologue makes of its input before it multiplies
};
// Of ops that copy, compare or count.
struct ExactValues {
  template <class Problem>
  constexpr operator Traits<Problem>() const {
    return {.accuracy = Accuracy::exact};
  }
};
inline constexpr ExactValues exact_values;

template <class Problem, class Fn>
struct Implementation {
  const char* name;
  Device device;
  // Whether it gives right results: nullptr, or the reason why not.
  const char* (*can)(const Problem&);
  Fn* run;  // void(const Problem&, arguments...)
  Traits<Problem> traits = {};
};

// The usual conditions. The reference takes f32 and f64, fast loops on the CPU f32, GPUs f32 and bf16.
inline constexpr auto always = [](const auto&) -> const char* { return nullptr; };
inline constexpr auto f32_only = [](const auto& problem) -> const char* {
  return problem.dtype == DType::f32 ? nullptr : "f32 only";
};
inline constexpr auto f32_or_f64 = [](const auto& problem) -> const char* {
  return problem.dtype == DType::bf16 ? "f32 and f64 only" : nullptr;
};
inline constexpr auto f32_or_bf16 = [](const auto& problem) -> const char* {
  return problem.dtype == DType::f64 ? "f32 and bf16 only" : nullptr;
};
// A condition on the problem that another one is built on: of<&ConvTranspose2dProblem::conv, f32_or_bf16>.
template <auto member, auto can>
constexpr auto of = [](const auto& problem) -> const char* { return can(problem.*member); };

struct ImplementationInfo {
  std::string name;
  Device device;
  Accuracy accuracy;
  bool deterministic;
  bool rounds_prologue;
  const Needs* needs;
};

// An entry, whatever its problem.
class AnyEntry {
 public:
  const char* name() const { return name_; }  // "conv2d.forward"
  // The op's name in ATROUS_IMPL: the first part of the name, unless the entry has a separate ladder.
  std::string_view op() const { return op_; }
  virtual size_t size() const = 0;
  virtual ImplementationInfo info(size_t i) const = 0;

 protected:
  constexpr AnyEntry(const char* name, const char* op)
      : name_(name), op_(op ? op : std::string_view(name).substr(0, std::string_view(name).find('.'))) {}
  ~AnyEntry() = default;

 private:
  const char* name_;
  std::string_view op_;
};

// The entries of one op. Each folder has a function `EntryList <op>_entries()`, in <op>.cpp; the build
// collects them.
using EntryList = std::vector<const AnyEntry*>;
// The entries of all ops.
const EntryList& all_entries();

// A choice made by the environment or by a test.
struct Forced {
  std::string_view name;
  bool grants = false;  // arithmetic that the problem does not allow, too
};
std::optional<Forced> forced_implementation(std::string_view op, std::string_view entry);

// Error(usage) if ATROUS_IMPL is malformed or names no op. The first call of an op checks; a program does at
// its start.
void check_forced_implementations();

// While alive, the named implementation runs, whatever arithmetic it has. `what` is an op or an entry.
class ForceImplementation {
 public:
  ForceImplementation(const std::string& what, const std::string& name);
  ~ForceImplementation();
  ForceImplementation(const ForceImplementation&) = delete;
  ForceImplementation& operator=(const ForceImplementation&) = delete;

 private:
  std::string what_;
  std::optional<std::pair<std::string, bool>> previous_;  // name, grants
};

bool choices_are_printed();
void print_choice(const char* entry, const std::string& problem, const char* name, const char* why_not,
                  bool prefers);

struct Refusal {
  const char* name;
  const char* reason;
};
[[noreturn]] void no_implementation(const AnyEntry& entry, const std::string& problem, Device device,
                                    const Forced* forced, const std::vector<Refusal>& refusals);

}  // namespace atrous::kernels
