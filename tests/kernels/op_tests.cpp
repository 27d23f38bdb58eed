// Runs the cases of kernels: exact, real-valued, gradients, bad inputs; and checks that every op has all of
// them.
//
//   op_tests                    everything, on every device there is
//   op_tests --op conv2d        one op
//   op_tests --case "TEXT"      cases whose name contains TEXT
//   op_tests --device sim       one device (repeatable, or a comma list); gradients and bad inputs: cpu
//   op_tests --dtype bf16       one dtype of the activations
//   op_tests --rung tiled       one implementation
//   op_tests --max-flops 1e6    leaves out larger problems, for runs under slow checkers
//   op_tests --table            prints the counts of each op, device, dtype and implementation
//
// Exit code 77: nothing could run, since no device that was asked for is available.
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <compare>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/device_runtime.h"
#include "core/device_sim.h"
#include "core/gradcheck.h"
#include "core/text.h"
#include "kernels/common/implementation.h"
#include "kernels/sim/sim.h"
#include "tests/kernels/comparison.h"
#include "tests/kernels/op_case.h"
#include "tests/kernels/reach_check.h"

using namespace atrous;
using namespace atrous::cases;

namespace {

constexpr std::array all_devices{Device::cpu, Device::sim, Device::cuda};

// What a check belongs to in the table.
struct Row {
  std::string op;
  Device device = Device::cpu;
  std::string dtype;
  std::string rung;  // or "gradient", "bad input", "coverage"
  // clang-tidy 14 takes the zero that <=> is compared with for a null pointer.
  auto operator<=>(const Row&) const = default;  // NOLINT(modernize-use-nullptr)
};
struct Count {
  int passed = 0, failed = 0;
};
std::map<Row, Count> counts;
// The implementations that ran: "op.entry", name.
std::map<Device, std::set<std::pair<std::string, std::string>>> reached;
// "op.entry descriptor" of the cases that ran.
std::set<std::string> ran;

void note_run(const OpCase& c, Device device, const std::string& implementation) {
  reached[device].emplace(c.op + "." + c.entry, implementation);
  ran.insert(c.op + "." + c.entry + " " + c.descriptor);
}
// Device, then "op.entry", then dtype: number of cases that no implementation takes.
std::map<Device, std::map<std::string, std::map<std::string, int>>> missing;

void report(const Row& row, const std::string& name, const std::string& problem) {
  if (problem.empty()) {
    ++counts[row].passed;
    return;
  }
  ++counts[row].failed;
  // What no case reaches is known after all cases of an op.
  const std::string again = row.rung == "coverage" ? "--op " + row.op : fmt::format("--case \"{}\"", name);
  std::printf("FAILED %s\n    %s\n    re-run: op_tests --device %s %s\n", name.c_str(), problem.c_str(),
              name_of(row.device), again.c_str());
}

template <class F>
std::string describe_exception(F&& f) {
  try {
    return f();
  } catch (const std::exception& e) {
    return std::string("threw: ") + e.what();
  }
}

// Integers small enough that every partial sum is exact in f32: accumulation * range^2 < 2^24.
int exact_range(int64_t accumulation) {
  for (int range = 3; range > 1; --range) {
    if (static_cast<double>(accumulation) * range * range < 0x1p24) return range;
  }
  return 1;
}

std::vector<Tensor> run_with(const OpCase& c, const std::string& implementation,
                             const std::vector<Tensor>& inputs) {
  // By op and by entry: some entries are ops of their own when it comes to forcing.
  const kernels::ForceImplementation op(c.op, implementation), entry(c.op + "." + c.entry, implementation);
  return c.run(inputs);
}

std::vector<Tensor> in_double(const std::vector<Tensor>& inputs) {
  std::vector<Tensor> wide;
  for (const Tensor& t : inputs) wide.push_back(t.dtype() == DType::f32 ? t.to(DType::f64) : t);
  return wide;
}

struct Filter {
  std::string op, text, dtype, rung;
  std::set<Device> devices;
  double max_flops = std::numeric_limits<double>::infinity();

  bool takes(const std::string& op_name, const std::string& name) const {
    if (!op.empty() && op_name != op) return false;
    // A name printed by a failure ends in "[implementation] kind"; match either way.
    return text.empty() || name.find(text) != std::string::npos || text.find(name) != std::string::npos;
  }
  bool takes_dtype(DType t) const { return dtype.empty() || dtype == name_of(t); }
  bool takes_rung(const std::string& name) const { return rung.empty() || rung == name; }
};

// Inputs that bf16 holds, in place: strides stay.
void round_to_bf16(const std::vector<Tensor>& inputs) {
  for (const Tensor& t : inputs) {
    if (t.dtype() == DType::f32) t.copy_from(t.to(DType::bf16).to(DType::f32));
  }
}

using kernels::Accuracy;
using kernels::ImplementationInfo;

void run_on_cpu(const OpCase& c, const std::string& name, const Filter& filter) {
  const std::vector<ImplementationInfo> implementations = implementations_of(c, Device::cpu, DType::f32);
  for (const ImplementationInfo& it : implementations) {
    if (!filter.takes_rung(it.name)) continue;
    note_run(c, Device::cpu, it.name);
    const Row row{c.op, Device::cpu, "f32", it.name};
    const bool rounds = it.accuracy == Accuracy::bf16;
    for (bool strided : {false, true}) {
      const std::string label = name + " [" + it.name + (strided ? ", strided]" : "]");
      if (c.exact && it.name != "ref" && it.accuracy != Accuracy::winograd) {
        report(row, label + " exact", describe_exception([&] {
                 const auto inputs = make_inputs(c, exact_range(c.accumulation), strided);
                 return compare(run_with(c, it.name, inputs), run_with(c, "ref", inputs), bit_for_bit);
               }));
      }
      report(row, label + " real", describe_exception([&] {
               const std::vector<Tensor> inputs = make_inputs(c, 0, strided);
               if (rounds) round_to_bf16(inputs);
               const double factors = rounds && c.makes_factors ? 0x1p-8 : 0;
               return compare(run_with(c, it.name, inputs), run_with(c, "ref", in_double(inputs)),
                              [&](DType t) { return tolerance(t, c.accumulation, it) + factors; });
             }));
    }
  }
  const bool runs = implementations.empty() || implementations[0].name != no_implementation;
  if (runs && std::ranges::find(implementations, "ref", &ImplementationInfo::name) == implementations.end()) {
    report({c.op, Device::cpu, "f32", "ref"}, name, "no reference among its implementations");
  }
}

enum class Layout {
  contiguous,
  strided,  // slices that start anywhere: no vector access is aligned
  aligned,  // slices on 16-byte boundaries, which vector accesses may use
};
constexpr const char* name_of(Layout layout) {
  return layout == Layout::contiguous ? "" : layout == Layout::strided ? ", strided" : ", aligned slices";
}

// Inputs of a case with a dtype, and what the reference makes of them.
struct Experiment {
  std::vector<Tensor> inputs;  // f32 on the CPU, rounded to the dtype
  std::vector<Tensor> expected;

  Experiment(const OpCase& c, DType dtype, bool exact) {
    inputs = make_inputs(c, exact ? exact_range(c.accumulation) : 0, false);
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (inputs[i].dtype() == DType::f32 && !c.inputs[i].parameter)
        inputs[i] = inputs[i].to(dtype).to(DType::f32);
    }
    expected = run_with(c, "ref", exact ? inputs : in_double(inputs));
  }
};

// Copies an input to the device. Slices keep their surroundings, NaN, there.
Tensor place(const Tensor& t, DType dtype, Layout layout, Device device) {
  if (layout == Layout::contiguous || !is_floating(t.dtype()) || t.rank() < 2) return t.to(dtype).to(device);
  const int64_t begin = layout == Layout::aligned ? 8 : 3, rest = layout == Layout::aligned ? 8 : 2;
  const Tensor wide = Tensor::full(t.shape().with(-1, begin + t.channels() + rest),
                                   std::numeric_limits<double>::quiet_NaN(), dtype);
  wide.narrow_channels(begin, t.channels()).copy_from(t);
  return wide.to(device).narrow_channels(begin, t.channels());
}

std::vector<Tensor> run_on(const OpCase& c, const std::string& implementation, const Experiment& e,
                           DType dtype, Layout layout, Device device) {
  std::vector<Tensor> inputs;
  for (size_t i = 0; i < e.inputs.size(); ++i) {
    const Tensor& t = e.inputs[i];
    inputs.push_back(
        place(t, is_floating(t.dtype()) && !c.inputs[i].parameter ? dtype : t.dtype(), layout, device));
  }
  std::vector<Tensor> outputs = run_with(c, implementation, inputs);
  synchronize(device);  // an error of this case must not surface in the next one
  for (Tensor& t : outputs) {
    if (t.defined()) t = t.to(Device::cpu).contiguous_copy_if_needed();
  }
  return outputs;
}

// Another order of blocks and warps on the simulator; on a GPU every run has its own.
struct OtherSchedule {
  uint64_t before = simulator::seed();
  OtherSchedule() { simulator::set_seed(before + 1); }
  ~OtherSchedule() { simulator::set_seed(before); }
  OtherSchedule(const OtherSchedule&) = delete;
  OtherSchedule& operator=(const OtherSchedule&) = delete;
};

void run_rung(const OpCase& c, const std::string& name, const ImplementationInfo& it, DType dtype,
              const Experiment* exact, const Experiment& real) {
  const std::string& rung = it.name;
  const Device device = it.device;
  const Row row{c.op, device, name_of(dtype), rung};
  note_run(c, device, rung);
  const auto label = [&](Layout layout, const char* kind) {
    return fmt::format("{} [{} {} {}{}] {}", name, name_of(device), row.dtype, rung, name_of(layout), kind);
  };
  // The simulator is some thousand times slower than a GPU: large problems get each kind of check once.
  const bool thorough = device != Device::sim || c.flops < 4e6;
  const bool vectors = std::any_of(c.inputs.begin(), c.inputs.end(), [](const Input& in) {
    return in.shape.rank() >= 2 && in.fill != Fill::labels && in.shape[-1] % 4 == 0;
  });
  if (exact && it.accuracy != Accuracy::winograd) {
    for (Layout layout : {Layout::contiguous, Layout::strided}) {
      if (layout == Layout::contiguous && !thorough) continue;
      report(row, label(layout, "exact"), describe_exception([&] {
               return compare(run_on(c, rung, *exact, dtype, layout, device), exact->expected, bit_for_bit);
             }));
    }
  }
  std::vector<Tensor> first;
  for (Layout layout : {Layout::contiguous, Layout::strided, Layout::aligned}) {
    if (layout != Layout::contiguous && !thorough) continue;
    if (layout == Layout::aligned && !vectors) continue;
    report(row, label(layout, "real"), describe_exception([&] {
             const auto got = run_on(c, rung, real, dtype, layout, device);
             if (layout == Layout::contiguous) first = got;
             return compare(got, real.expected, [&](DType t) { return tolerance(t, c.accumulation, it); });
           }));
  }
  if (!thorough || first.empty() || !it.deterministic) return;
  report(row, label(Layout::contiguous, "deterministic"), describe_exception([&] {
           const OtherSchedule schedule;
           return compare_schedules(first, run_on(c, rung, real, dtype, Layout::contiguous, device));
         }));
}

void run_on_device(const OpCase& c, const std::string& name, Device device, DType dtype,
                   const Filter& filter) {
  std::vector<ImplementationInfo> rungs = implementations_of(c, device, dtype);
  if (rungs.empty()) ++missing[device][c.op + "." + c.entry][name_of(dtype)];
  std::erase_if(rungs, [&](const ImplementationInfo& it) { return !filter.takes_rung(it.name); });
  if (rungs.empty()) return;
  const std::string problem = describe_exception([&] {
    // One reference for all rungs and layouts.
    std::optional<Experiment> exact;
    if (c.exact) exact.emplace(c, dtype, true);
    const Experiment real(c, dtype, false);
    for (const ImplementationInfo& it : rungs) run_rung(c, name, it, dtype, exact ? &*exact : nullptr, real);
    return std::string();
  });
  if (!problem.empty()) report({c.op, device, name_of(dtype), "ref"}, name, problem);
}

void run_case(const OpCase& c, const std::string& name, const Filter& filter) {
  for (Device device : filter.devices) {
    if (device == Device::cpu) {
      if (filter.takes_dtype(DType::f32)) run_on_cpu(c, name, filter);
      continue;
    }
    for (DType dtype : {DType::f32, DType::bf16}) {
      if (filter.takes_dtype(dtype)) run_on_device(c, name, device, dtype, filter);
    }
  }
}

void run_gradient(const GradientCase& c, const std::string& name) {
  report({c.op, Device::cpu, "f64", "gradient"}, name, describe_exception([&]() -> std::string {
           std::vector<Variable> inputs;
           uint64_t seed = 29;
           for (const Input& spec : c.inputs) {
             const Tensor t = make_input(spec, DType::f64, 0, false, seed++);
             inputs.emplace_back(t, spec.differentiable && spec.fill != Fill::labels);
           }
           GradcheckOptions options;
           options.tolerance = c.tolerance;
           const GradcheckResult result = gradcheck(c.function, inputs, options);
           return result.ok ? check_reach(c, inputs) : result.message;
         }));
}

void run_bad_input(const BadInputCase& c, const std::string& name) {
  std::string problem = "did not fail";
  try {
    c.call();
  } catch (const Error& e) {
    problem.clear();
    if (e.kind() != c.kind)
      problem = fmt::format("kind {} instead of {}: {}", e.exit_code(), static_cast<int>(c.kind), e.what());
    if (std::string(e.what()).find(c.expected_text) == std::string::npos) {
      problem = fmt::format("message \"{}\" lacks \"{}\"", e.what(), c.expected_text);
    }
  } catch (const std::exception& e) {
    problem = std::string("other exception: ") + e.what();
  }
  report({c.op, Device::cpu, "", "bad input"}, name, problem);
}

// Every op needs each kind of case.
void check_coverage(const CaseList& list, const Filter& filter) {
  std::set<std::string> with_case, with_gradient, with_bad_input;
  for (const OpCase& c : list.cases) {
    if (!c.benchmark) with_case.insert(c.op);
  }
  for (const GradientCase& c : list.gradients) with_gradient.insert(c.op);
  for (const BadInputCase& c : list.bad_inputs) with_bad_input.insert(c.op);
  const std::set<std::string> exempt(list.not_differentiable.begin(), list.not_differentiable.end());
  for (const std::string& op : all_ops()) {
    if (!filter.op.empty() && op != filter.op) continue;
    report({op, Device::cpu, "", "coverage"}, op + " coverage",
           !with_case.count(op)                            ? "has no cases"
           : !with_gradient.count(op) && !exempt.count(op) ? "has no gradient cases"
           : !with_bad_input.count(op)                     ? "has no bad-input cases"
                                                           : "");
  }
}

// Every entry, each of its implementations that this machine can run, and every variant needs a case.
void check_rows_are_reached(const CaseList& list, const Filter& filter) {
  std::set<std::string> known;
  for (const kernels::AnyEntry* entry : kernels::all_entries()) {
    const std::string name = entry->name(), op = name.substr(0, name.find('.'));
    known.insert(name);
    if (!filter.op.empty() && op != filter.op) continue;
    for (size_t i = 0; i < entry->size(); ++i) {
      const ImplementationInfo it = entry->info(i);
      if (!filter.devices.count(it.device) || (it.needs && !it.needs->met())) continue;
      report({op, it.device, "", "coverage"}, fmt::format("{} {} on {}", name, it.name, name_of(it.device)),
             reached[it.device].count({name, it.name}) ? "" : "no case reaches this implementation");
    }
  }
  for (const OpCase& c : list.cases) {
    const std::string name = c.op + "." + c.entry;
    if (c.benchmark || (!filter.op.empty() && c.op != filter.op)) continue;
    if (!known.count(name)) report({c.op, Device::cpu, "", "coverage"}, name, "is not in <op>_entries()");
  }
  for (const Variant& v : list.variants) {
    const std::string op = v.entry.substr(0, v.entry.find('.')), begin = v.entry + " " + v.name;
    if (!filter.op.empty() && op != filter.op) continue;
    const bool reached_variant = std::ranges::any_of(ran, [&](const std::string& descriptor) {
      // The whole name: "relu6" is no case of "relu". A parameter may follow, "leaky_relu(0.1)".
      const char next = descriptor.size() > begin.size() ? descriptor[begin.size()] : ' ';
      return descriptor.starts_with(begin) && (next == ' ' || next == '(');
    });
    report({op, Device::cpu, "", "coverage"}, begin, reached_variant ? "" : "no case reaches this variant");
  }
}

void print_missing() {
  for (const auto& [device, entries] : missing) {
    for (const auto& [entry, dtypes] : entries) {
      std::string text;
      for (const auto& [dtype, cases] : dtypes) text += fmt::format(" {} ({} cases)", dtype, cases);
      std::printf("missing on %s: %s%s\n", name_of(device), entry.c_str(), text.c_str());
      report({entry.substr(0, entry.find('.')), device, "", "coverage"}, entry,
             "has no implementation for" + text);
    }
  }
}

void print_table() {
  std::printf("%-22s %-5s %-5s %-24s %8s %7s\n", "op", "", "", "implementation", "passed", "failed");
  for (const auto& [row, count] : counts) {
    std::printf("%-22s %-5s %-5s %-24s %8d %7d\n", row.op.c_str(), name_of(row.device), row.dtype.c_str(),
                row.rung.c_str(), count.passed, count.failed);
  }
}

// "conv2d: cpu 812, sim 1930, cuda skipped: no GPU found"
void print_summary(const std::map<Device, std::string>& skipped) {
  std::map<std::string, std::map<Device, Count>> by_op;
  for (const auto& [row, count] : counts) {
    by_op[row.op][row.device].passed += count.passed;
    by_op[row.op][row.device].failed += count.failed;
  }
  for (const auto& [op, devices] : by_op) {
    std::string line = op + ":";
    for (const auto& [device, count] : devices) {
      line += fmt::format("{} {} {}", line.back() == ':' ? "" : ",", name_of(device), count.passed);
      if (count.failed) line += fmt::format(" ({} FAILED)", count.failed);
    }
    for (const auto& [device, reason] : skipped)
      line += fmt::format(", {} skipped: {}", name_of(device), reason);
    std::printf("%s\n", line.c_str());
  }
}

constexpr const char* usage_text =
    "usage: op_tests [--op NAME] [--case TEXT] [--device cpu|sim|cuda[,...]] [--dtype f32|bf16] [--rung "
    "NAME] [--max-flops N] [--table]\n";

int usage(const std::string& problem) {
  std::fprintf(stderr, "%s\n%s", problem.c_str(), usage_text);
  return 2;
}

int unknown_op(const std::string& name) {
  const std::vector<std::string> ops = all_ops();
  const std::string nearest = nearest_word(name, ops);
  return usage(fmt::format("no op is called \"{}\".{} The ops are: {}", name,
                           nearest.empty() ? "" : " Did you mean \"" + nearest + "\"?",
                           fmt::join(ops, ", ")));
}

}  // namespace

int main(int argc, char** argv) {
  SimOptions checking = sim_options();
  checking.check = true;
  set_sim_options(checking);
  Filter filter;
  bool table = false;
  for (int i = 1; i < argc; ++i) {
    const std::string flag = argv[i];
    if (flag == "--table") {
      table = true;
      continue;
    }
    if (flag == "--help") {
      std::fputs(usage_text, stdout);
      return 0;
    }
    if (i + 1 == argc) return usage(flag + " needs a value");
    const std::string value = argv[++i];
    if (flag == "--op") {
      filter.op = value;
      if (const auto ops = all_ops(); std::ranges::find(ops, value) == ops.end()) return unknown_op(value);
    } else if (flag == "--case")
      filter.text = value;
    else if (flag == "--dtype") {
      if (value != "f32" && value != "bf16") return usage("no dtype here is called \"" + value + "\"");
      filter.dtype = value;
    } else if (flag == "--rung")
      filter.rung = value;
    else if (flag == "--max-flops") {
      char* end = nullptr;
      filter.max_flops = std::strtod(value.c_str(), &end);
      if (value.empty() || *end || !(filter.max_flops >= 0))
        return usage(value + " is no number of operations");
    } else if (flag == "--device") {
      for (size_t at = 0; at <= value.size();) {
        const size_t end = std::min(value.find(',', at), value.size());
        const std::string name = value.substr(at, end - at);
        const auto found = std::find_if(all_devices.begin(), all_devices.end(),
                                        [&](Device d) { return name == name_of(d); });
        if (found == all_devices.end()) return usage("no device is called \"" + name + "\"");
        filter.devices.insert(*found);
        at = end + 1;
      }
    } else
      return usage("no option is called " + flag);
  }
  if (filter.devices.empty()) filter.devices.insert(all_devices.begin(), all_devices.end());
  std::map<Device, std::string> skipped;
  for (Device device : all_devices) {
    if (const char* why = filter.devices.count(device) ? why_unavailable(device) : nullptr) {
      skipped[device] = why;
      filter.devices.erase(device);
      std::printf("%s skipped: %s\n", name_of(device), why);
    }
  }
  if (filter.devices.empty()) return 77;

  const CaseList list = all_cases();
  const bool on_cpu = filter.devices.count(Device::cpu) && filter.rung.empty() && filter.dtype.empty();
  int matched = 0, too_large = 0;
  for (const OpCase& c : list.cases) {
    const std::string name = c.op + "." + c.entry + " " + c.descriptor;
    if (c.benchmark || !filter.takes(c.op, name)) continue;
    if (c.flops > filter.max_flops) {
      ++too_large;
      continue;
    }
    ++matched;
    run_case(c, name, filter);
  }
  for (const GradientCase& c : list.gradients) {
    const std::string name = c.op + " gradient " + c.descriptor;
    if (on_cpu && filter.takes(c.op, name)) run_gradient(c, name);
  }
  for (const BadInputCase& c : list.bad_inputs) {
    const std::string name = c.op + " bad input " + c.descriptor;
    if (on_cpu && filter.takes(c.op, name)) run_bad_input(c, name);
  }
  if (on_cpu && filter.text.empty()) check_coverage(list, filter);
  if (filter.text.empty() && filter.dtype.empty() && filter.rung.empty() && std::isinf(filter.max_flops))
    check_rows_are_reached(list, filter);
  print_missing();
  if (table) print_table();
  print_summary(skipped);
  if (too_large) std::printf("%d cases left out: more than %g operations\n", too_large, filter.max_flops);
  Count total;
  for (const auto& [row, count] : counts) total.passed += count.passed, total.failed += count.failed;
  if (total.passed + total.failed == 0) {
    std::printf("0 checks ran: %s\n",
                matched ? "no implementation takes the cases" : "the filter matches nothing");
    return matched && !missing.empty() ? 77 : 1;
  }
  std::printf("%d passed, %d failed\n", total.passed, total.failed);
  return total.failed ? 1 : 0;
}
