// Entries: the functions of an op ("conv2d.forward"), each with its implementations.
//
//   constexpr Entry<SoftmaxProblem, ForwardFn> forward{"softmax.forward", {
//       ATROUS_ON_GPU("naive", f32_or_bf16, forward_naive),
//       {"avx512", Device::cpu, fits<16>, forward_avx512, {.needs = &needs_avx512}},
//       {"ref", Device::cpu, f32_or_f64, forward_ref},
//   }};
//   ...
//   forward(problem, x, writes(y));
//
// A call runs the first implementation that can and prefers to; if none prefers to, the first that can. The
// reference comes last. In this order a call
//
//   1. checks that all tensors lie on one device, where the op then runs,
//   2. increments the version of the tensors that it writes,
//   3. adds itself to the OpGraph that is being recorded, if one is; on Device::meta that is all,
//   4. chooses,
//   5. runs, inside a range of the device's profiler and of OpProfile,
//   6. with ATROUS_VALIDATE=ref runs the reference too and compares.
//
// ATROUS_VERBOSE=dispatch prints every choice. ATROUS_IMPL=conv2d:ref (or a ForceImplementation) forces one.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <tuple>
#include <utility>
#include <vector>

#include "core/device_runtime.h"
#include "core/op_graph.h"
#include "core/op_profile.h"
#include "kernels/common/implementation.h"
#include "kernels/common/operands.h"
#include "kernels/common/probe.h"
#include "kernels/common/validation.h"

namespace atrous::kernels {

// Increments the version of a tensor that an op changes.
inline constexpr auto new_version = [](const Tensor& t, Access access) {
  if (access != Access::read && t.defined()) t.bump_version();
};

// Floating-point operations of a call, a multiply and an add as two; 0 for problems without a count.
template <class Problem>
double flops_of(const Problem& p) {
  if constexpr (requires { p.flops(); })
    return p.flops();
  else
    return 0;
}

// Which positions of its inputs an entry reads (core/reach.h): that of its problem, unless the entry defines
// another.
template <class Problem>
using ReachOf = Reach (*)(const Problem&);
inline constexpr auto reach_whole = [](const auto&) { return Reach::whole(); };

template <class Problem, class Fn>
class Entry final : public AnyEntry {
 public:
  using Row = Implementation<Problem, Fn>;

  template <size_t n>
  consteval Entry(const char* name, const Row (&rows)[n], ReachOf<Problem> reach = nullptr,
                  const char* op = nullptr)
      : AnyEntry(name, op), reach_(reach), count_(n) {
    static_assert(n <= most_rows, "raise most_rows");
    for (size_t i = 0; i < n; ++i) rows_[i] = rows[i];
  }

  template <class... Args>
  void operator()(const Problem& problem, const Args&... args) const {
    static_assert((is_written<Args> || ...), "an op that writes nothing does nothing: mark what it writes");
    const SameDevice same_device(name());
    (each_tensor(value_of(args), access_of(args), same_device), ...);
    if (Probe* probe = Probe::of(name())) [[unlikely]]
      show(*probe, problem, same_device.device());
    (each_tensor(value_of(args), access_of(args), new_version), ...);
    if (OpGraph* graph = OpGraph::current()) [[unlikely]]
      record(*graph, problem, args...);
    if (same_device.device() == Device::meta) [[unlikely]]
      return;
    const Row& row = choose(problem, same_device.device());
    if (validation_is_on() && &row != &reference()) [[unlikely]]
      run_beside_reference(row, problem, args...);
    else
      run(row, problem, value_of(args)...);
  }

  const Row& choose(const Problem& problem, Device device) const {
    const std::optional<Forced> choice = forced_implementation(op(), name());
    const Forced* forced = choice ? &*choice : nullptr;
    const Math math = math_of(problem);
    const Row* second = nullptr;
    for (const Row& row : rows()) {
      const char* reason = why_not(row, problem, device, math, forced);
      const bool prefers = forced || !row.traits.prefers || reason || row.traits.prefers(problem);
      if (choices_are_printed()) print_choice(name(), problem.str(), row.name, reason, prefers);
      if (reason) continue;
      if (prefers) return row;
      if (!second) second = &row;
    }
    if (!second) [[unlikely]]
      refuse(problem, device, math, forced);
    return *second;
  }

  size_t size() const override { return count_; }
  ImplementationInfo info(size_t i) const override {
    const auto& row = rows_[i];
    return {row.name,
            row.device,
            row.traits.accuracy,
            row.traits.deterministic,
            row.traits.rounds_prologue,
            row.traits.needs};
  }

 private:
  std::span<const Row> rows() const { return {rows_.data(), count_}; }
  const Row& reference() const { return rows_[count_ - 1]; }

  static const char* why_not(const Row& row, const Problem& problem, Device device, Math math,
                             const Forced* forced) {
    if (row.device != device) return "other device";
    if (forced && forced->name != row.name) return "another one is forced";
    if (row.traits.needs && !row.traits.needs->met()) return row.traits.needs->text;
    if (!math.allows(row.traits.accuracy) && !(forced && forced->grants)) return "the math does not allow it";
    return row.can(problem);
  }

  [[noreturn]] void refuse(const Problem& problem, Device device, Math math, const Forced* forced) const {
    std::vector<Refusal> refusals;
    for (const Row& row : rows()) {
      if (row.device == device) refusals.push_back({row.name, why_not(row, problem, device, math, forced)});
    }
    no_implementation(*this, problem.str(), device, forced, refusals);
  }

  void show(Probe& probe, const Problem& problem, Device device) const {
    const Math math = math_of(problem);
    for (bool chosen_first : {true, false}) {
      for (size_t i = 0; i < count_; ++i) {
        const Forced it{rows_[i].name, true};
        const auto& traits = rows_[i].traits;
        const bool by_itself = math.allows(traits.accuracy) && (!traits.prefers || traits.prefers(problem));
        if (by_itself == chosen_first && !why_not(rows_[i], problem, device, math, &it)) probe.add(info(i));
      }
    }
    probe.stop();
  }

  template <class... Args>
  void record(OpGraph& graph, const Problem& problem, const Args&... args) const {
    std::vector<Tensor> reads, writes;
    const auto sort = [&](const Tensor& t, Access access) {
      if (access == Access::read || access == Access::update) reads.push_back(t);
      if (access == Access::write || access == Access::update) writes.push_back(t);
    };
    (each_tensor(value_of(args), access_of(args), sort), ...);
    graph.add({.entry = name(),
               .problem = problem.str(),
               .flops = flops_of(problem),
               .reach = reach_ ? reach_(problem) : Reach()},
              reads, writes);
  }

  template <class... Values>
  void run(const Row& row, const Problem& problem, Values&... values) const {
    const OpGraph::Pause pause;  // the calls of this op are not part of the graph
    const ProfilerRange range(name());
    const OpTimer timer(name(), row.name, [&] { return OpWork{problem.str(), flops_of(problem)}; });
    row.run(problem, values...);
  }

  template <class... Args>
  void run_beside_reference(const Row& row, const Problem& problem, const Args&... args) const {
    const OpGraph::Pause pause;  // copies and the reference are not part of the graph
    const Problem host_problem = on_host(problem, row.device);
    Validation validation(row.device, is_narrowed(problem, host_problem));
    (each_tensor(value_of(args), access_of(args), validation.note()), ...);
    // Before the run, whose output may overlap its inputs.
    auto copies = std::tuple(validation.copy(value_of(args), access_of(args))...);
    run(row, problem, value_of(args)...);
    (each_tensor(value_of(args), access_of(args), validation.chosen()), ...);
    const auto run_reference = [&](auto&... values) {
      reference().run(host_problem, values...);
      (each_tensor(values, access_of(args), validation.expected()), ...);
    };
    std::apply(run_reference, copies);
    validation.check(name(), problem.str(), row.name, math_of(problem).resolve(row.traits.accuracy));
  }

  static constexpr size_t most_rows = 32;
  ReachOf<Problem> reach_;
  size_t count_;
  std::array<Row, most_rows> rows_{};
};

}  // namespace atrous::kernels
