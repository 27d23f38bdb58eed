// One table of implementations per op entry ("conv2d.forward"), tried in order; the reference comes last.
//
// Each row says yes or why not. ATROUS_VERBOSE=dispatch prints every decision, ATROUS_IMPL=conv2d:ref (or a
// ForceImplementation in a test) picks one by name, ATROUS_VALIDATE=ref runs the reference too and compares.
#pragma once

#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/cpu.h"
#include "core/device_runtime.h"
#include "core/op_profile.h"
#include "core/tensor.h"
#include "kernels/common/validation.h"

namespace atrous::kernels {

template <class Problem, class Fn>
struct Implementation {
  const char* name;
  Device device;
  // nullptr if this implementation can run the problem, else the reason why not.
  const char* (*why_not)(const Problem&);
  Fn* run;
};

inline constexpr auto always = [](const auto&) -> const char* { return nullptr; };
// For implementations on the CPU that take every problem in full precision.
inline constexpr auto why_not_bf16 = [](const auto& problem) -> const char* {
  return problem.dtype == DType::bf16 ? "f32 and f64 only" : nullptr;
};
// For implementations on GPUs that take every problem.
inline constexpr auto why_not_f64 = [](const auto& problem) -> const char* {
  return problem.dtype == DType::f64 ? "f32 and bf16 only" : nullptr;
};

// Name forced for an entry ("conv2d.forward") or else for its op ("conv2d") by test or environment; empty if
// none.
std::string forced_implementation(const char* op, const char* entry);

// Error(usage) if ATROUS_IMPL is malformed or names no op. The first dispatch asks; a program does at its
// start.
void check_forced_implementations();

// Names of all ops ("conv2d") and of their entries ("conv2d.forward"), found in the sources by the build.
std::span<const char* const> op_entries();

class ForceImplementation {
 public:
  // `what` is an op or an entry.
  ForceImplementation(const std::string& what, const std::string& name);
  ~ForceImplementation();
  ForceImplementation(const ForceImplementation&) = delete;
  ForceImplementation& operator=(const ForceImplementation&) = delete;

 private:
  std::string what_;
  std::string previous_;
};

// The dtype of per-channel vectors, statistics and gradients of parameters beside activations of `dtype`.
constexpr DType parameter_dtype(DType dtype) {
  return dtype == DType::bf16 ? DType::f32 : dtype;
}

// Throws Error(usage) if the tensors, those that are defined, lie on more than one device.
void check_same_device(const char* where, std::initializer_list<Tensor> tensors);

// Whether ops may only use implementations that form the sums of their definition. Algorithms that reach the
// same result by other sums (Winograd) are faster and less accurate; by default they may be used. Config key
// `exact`.
void set_exact_sums(bool on);
bool exact_sums();

// Whether f32 products may run on tensor cores in tf32: 10 bits of mantissa instead of 23. Off unless
// granted.
void set_allow_tf32(bool on);
bool allow_tf32();

void log_dispatch(const char* entry, const std::string& problem, const char* name, const char* why_not);
// `names` are the implementations that the entry has on the device, `reasons` why those that might run do
// not.
[[noreturn]] void no_implementation(const char* entry, const std::string& problem, Device device,
                                    const std::string& forced, const std::string& names,
                                    const std::string& reasons);
bool dispatch_is_verbose();

// The first row of `table` that takes `problem` on `device`. `op` is the folder name, `entry` op + "." +
// pass. Problem must have `std::string str() const`, its one-line descriptor.
template <class Problem, class Fn, size_t N>
const Implementation<Problem, Fn>& choose(const char* op, const char* entry,
                                          const Implementation<Problem, Fn> (&table)[N],
                                          const Problem& problem, Device device) {
  const std::string forced = forced_implementation(op, entry);
  std::string names, reasons;
  for (const auto& row : table) {
    const char* reason = row.device != device                    ? "other device"
                         : !forced.empty() && forced != row.name ? "another one is forced"
                                                                 : row.why_not(problem);
    if (dispatch_is_verbose()) log_dispatch(entry, problem.str(), row.name, reason);
    if (!reason) return row;
    if (row.device != device) continue;
    names += std::string(names.empty() ? "" : ", ") + row.name;
    if (forced.empty() || forced == row.name)
      reasons += std::string(reasons.empty() ? "" : "; ") + row.name + ": " + reason;
  }
  no_implementation(entry, problem.str(), device, forced, names, reasons);
}

// The dtype of a problem's activations, or nullptr. Some problems hold the one they are built on.
template <class Problem>
DType* dtype_in(Problem& p) {
  if constexpr (requires { p.dtype; })
    return &p.dtype;
  else if constexpr (requires { p.pool.dtype; })
    return &p.pool.dtype;
  else if constexpr (requires { p.conv.dtype; })
    return &p.conv.dtype;
  else if constexpr (requires { p.loss.dtype; })
    return &p.loss.dtype;
  else
    return nullptr;
}

// Floating-point operations of a call; 0 for problems that do not say.
template <class Problem>
double flops_of(const Problem& p) {
  if constexpr (requires { p.flops(); })
    return p.flops();
  else if constexpr (requires { p.conv.flops(); })
    return p.conv.flops();
  else
    return 0;
}

// While alive: this is the op that runs, for the profiler of a device and for OpProfile.
class OpScope {
 public:
  template <class Problem, class Fn>
  OpScope(const char* entry, const Implementation<Problem, Fn>& row, const Problem& problem)
      : range_(entry), timer_(entry, row.name, [&] {
          return OpWork{problem.str(), flops_of(problem)};
        }) {}

 private:
  const ProfilerRange range_;
  const OpTimer timer_;
};

// Chooses and runs: row.run(problem, args...). `outputs` are the tensors that the op writes (each fully
// determined by the other arguments); with ATROUS_VALIDATE=ref they are computed by the reference too and
// compared.
template <class Problem, class Fn, size_t N, class... Args>
void dispatch(const char* op, const char* entry, const Implementation<Problem, Fn> (&table)[N],
              const Problem& problem, std::initializer_list<Tensor> outputs, const Args&... args) {
  const auto& row = choose(op, entry, table, problem, outputs.begin()->device());
  {
    const OpScope scope(entry, row, problem);
    row.run(problem, args...);
  }
  const auto& reference = table[N - 1];
  if (!validation_is_on() || &row == &reference) return;
  std::vector<Tensor> chosen;
  if (row.device != Device::cpu) {
    HostCopies host;
    Problem wide = problem;
    if (DType* dtype = dtype_in(wide); dtype && *dtype == DType::bf16) *dtype = DType::f32;
    std::vector<Tensor> expected;
    for (const Tensor& t : outputs) chosen.push_back(t.defined() ? t.to(Device::cpu) : Tensor());
    reference.run(on_host(wide, host), on_host(args, host)...);
    for (const Tensor& t : outputs) expected.push_back(host(t));
    compare_with_reference(entry, problem.str(), row.name, chosen, expected);
    return;
  }
  for (const Tensor& t : outputs) chosen.push_back(t.defined() ? t.clone() : Tensor());
  reference.run(problem, args...);
  compare_with_reference(entry, problem.str(), row.name, chosen, std::vector<Tensor>(outputs));
  size_t i = 0;
  for (const Tensor& t : outputs) {
    if (t.defined()) t.copy_from(chosen[i]);
    ++i;
  }
}

// Names of the rows on `device` that take `problem`, best first, for tests and benchmarks. Each op offers
// them as `<op>_candidates(entry, problem, device)`, where an entry is a pass such as "backward_input".
template <class Problem, class Fn, size_t N>
std::vector<std::string> candidates(const Implementation<Problem, Fn> (&table)[N], const Problem& problem,
                                    Device device) {
  std::vector<std::string> names;
  for (const auto& row : table) {
    if (row.device == device && !row.why_not(problem)) names.emplace_back(row.name);
  }
  return names;
}
[[noreturn]] void unknown_entry(const char* op, std::string_view entry);

}  // namespace atrous::kernels
