// Runs the cases of kernels: exact, real-valued, gradients, bad inputs; and checks that every op has all of them.
//
//   op_tests                 everything
//   op_tests --op conv2d     one op
//   op_tests --case "TEXT"   cases whose name contains TEXT
#include <cmath>
#include <cstdio>
#include <cstring>
#include <set>
#include <string>

#include "core/gradcheck.h"
#include "kernels/common/dispatch.h"
#include "tests/kernels/op_case.h"

using namespace atrous;
using namespace atrous::cases;

namespace {

int passed = 0;
int failed = 0;

void report(const std::string& name, const std::string& problem) {
  if (problem.empty()) {
    ++passed;
    return;
  }
  ++failed;
  std::printf("FAILED %s\n    %s\n    re-run: op_tests --case \"%s\"\n", name.c_str(), problem.c_str(), name.c_str());
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

// Implementations that compute the same function by other sums: not exact on integers, and less accurate by their nature.
bool rearranges_sums(const std::string& implementation) { return implementation.starts_with("winograd"); }

// The one tolerance table: relative to the largest reference value, by length of the sum.
double tolerance(int64_t accumulation, bool rearranged) {
  return 1.2e-7 * (6.0 + 2.0 * std::sqrt(static_cast<double>(accumulation))) * (rearranged ? 2 : 1);
}

std::vector<Tensor> inputs_of(const std::vector<Input>& specs, DType dtype, int range, bool strided) {
  std::vector<Tensor> result;
  uint64_t seed = 17;
  for (const Input& spec : specs) result.push_back(make_input(spec, dtype, range, strided, seed++));
  return result;
}

std::vector<Tensor> run_with(const OpCase& c, const std::string& implementation, const std::vector<Tensor>& inputs) {
  // By op and by entry: some entries are ops of their own when it comes to forcing.
  const kernels::ForceImplementation op(c.op, implementation), entry(c.op + "." + c.entry, implementation);
  return c.run(inputs);
}

std::string compare(const std::vector<Tensor>& got, const std::vector<Tensor>& want, double relative) {
  if (got.size() != want.size() || got.empty()) return fmt::format("{} outputs, wanted {}", got.size(), want.size());
  for (size_t t = 0; t < got.size(); ++t) {
    if (got[t].defined() != want[t].defined()) return fmt::format("output {} is missing", t);
    if (!got[t].defined()) continue;
    if (got[t].shape() != want[t].shape()) {
      return fmt::format("output {} has shape {}, wanted {}", t, got[t].shape().str(), want[t].shape().str());
    }
    const Tensor a = got[t].to(DType::f64).contiguous_copy_if_needed();
    const Tensor b = want[t].to(DType::f64).contiguous_copy_if_needed();
    double scale = 0;
    for (int64_t i = 0; i < b.numel(); ++i) {
      if (std::isfinite(b.data<double>()[i])) scale = std::max(scale, std::abs(b.data<double>()[i]));
    }
    for (int64_t i = 0; i < a.numel(); ++i) {
      const double x = a.data<double>()[i];
      const double y = b.data<double>()[i];
      const bool same = x == y || (std::isnan(x) && std::isnan(y));
      if (!same && !(std::abs(x - y) <= relative * scale)) {
        return fmt::format("output {} element {} of {}: got {:.9g}, wanted {:.9g} (allowed {:.2e} of {:.3g})", t, i,
                           a.shape().str(), x, y, relative, scale);
      }
    }
  }
  return "";
}

void run_case(const OpCase& c, const std::string& name) {
  const std::vector<std::string> candidates = c.candidates(Device::cpu, DType::f32);
  bool has_ref = false;
  for (const std::string& implementation : candidates) {
    has_ref = has_ref || implementation == "ref";
    for (bool strided : {false, true}) {
      const std::string label = name + " [" + implementation + (strided ? ", strided]" : "]");
      if (c.exact && implementation != "ref" && !rearranges_sums(implementation)) {
        report(label + " exact", describe_exception([&] {
                 const auto inputs = inputs_of(c.inputs, DType::f32, exact_range(c.accumulation), strided);
                 return compare(run_with(c, implementation, inputs), run_with(c, "ref", inputs), 0);
               }));
      }
      report(label + " real", describe_exception([&] {
               std::vector<Tensor> f32 = inputs_of(c.inputs, DType::f32, 0, strided);
               std::vector<Tensor> f64;
               for (const Tensor& t : f32) f64.push_back(t.dtype() == DType::f32 ? t.to(DType::f64) : t);
               return compare(run_with(c, implementation, f32), run_with(c, "ref", f64), tolerance(c.accumulation, rearranges_sums(implementation)));
             }));
    }
  }
  if (!has_ref) report(name, "no reference among its candidates");
}

void run_gradient(const GradientCase& c, const std::string& name) {
  report(name, describe_exception([&]() -> std::string {
           std::vector<Variable> inputs;
           uint64_t seed = 29;
           for (const Input& spec : c.inputs) {
             const Tensor t = make_input(spec, DType::f64, 0, false, seed++);
             inputs.emplace_back(t, spec.differentiable && spec.fill != Fill::labels);
           }
           GradcheckOptions options;
           options.tolerance = c.tolerance;
           const GradcheckResult result = gradcheck(c.function, inputs, options);
           return result.ok ? "" : result.message;
         }));
}

void run_bad_input(const BadInputCase& c, const std::string& name) {
  std::string problem = "did not fail";
  try {
    c.call();
  } catch (const Error& e) {
    problem.clear();
    if (e.kind() != c.kind) problem = fmt::format("kind {} instead of {}: {}", e.exit_code(), static_cast<int>(c.kind), e.what());
    if (std::string(e.what()).find(c.expected_text) == std::string::npos) {
      problem = fmt::format("message \"{}\" lacks \"{}\"", e.what(), c.expected_text);
    }
  } catch (const std::exception& e) {
    problem = std::string("other exception: ") + e.what();
  }
  report(name, problem);
}

}  // namespace

int main(int argc, char** argv) {
  std::string op_filter;
  std::string case_filter;
  for (int i = 1; i + 1 < argc; i += 2) {
    if (!std::strcmp(argv[i], "--op")) op_filter = argv[i + 1];
    else if (!std::strcmp(argv[i], "--case")) case_filter = argv[i + 1];
    else return std::fprintf(stderr, "usage: op_tests [--op NAME] [--case TEXT]\n"), 2;
  }
  const CaseList list = all_cases();
  std::set<std::string> with_case, with_gradient, with_bad_input;
  auto wanted = [&](const std::string& op, const std::string& name) {
    if (!op_filter.empty() && op != op_filter) return false;
    // A name printed by a failure ends in "[implementation] kind"; match either way.
    return case_filter.empty() || name.find(case_filter) != std::string::npos || case_filter.find(name) != std::string::npos;
  };
  for (const OpCase& c : list.cases) {
    if (c.benchmark) continue;
    with_case.insert(c.op);
    const std::string name = c.op + "." + c.entry + " " + c.descriptor;
    if (wanted(c.op, name)) run_case(c, name);
  }
  for (const GradientCase& c : list.gradients) {
    with_gradient.insert(c.op);
    const std::string name = c.op + " gradient " + c.descriptor;
    if (wanted(c.op, name)) run_gradient(c, name);
  }
  for (const BadInputCase& c : list.bad_inputs) {
    with_bad_input.insert(c.op);
    const std::string name = c.op + " bad input " + c.descriptor;
    if (wanted(c.op, name)) run_bad_input(c, name);
  }
  if (case_filter.empty()) {
    const std::set<std::string> exempt(list.not_differentiable.begin(), list.not_differentiable.end());
    for (const std::string& op : all_ops()) {
      if (!op_filter.empty() && op != op_filter) continue;
      report(op + " coverage", !with_case.count(op)                          ? "has no cases"
                               : !with_gradient.count(op) && !exempt.count(op) ? "has no gradient cases"
                               : !with_bad_input.count(op)                     ? "has no bad-input cases"
                                                                               : "");
    }
  }
  if (passed + failed == 0) {
    std::printf("0 checks ran: the filter matches nothing\n");
    return 1;
  }
  std::printf("%d passed, %d failed\n", passed, failed);
  return failed ? 1 : 0;
}
