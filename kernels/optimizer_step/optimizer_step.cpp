#include "kernels/optimizer_step/optimizer_step.h"

#include "kernels/common/dispatch.h"
#include "kernels/optimizer_step/optimizer_step_impl.h"

namespace atrous::kernels {
namespace {

// Parameters and their gradients are f32 whatever the dtype of the activations.
constexpr auto only_f32 = [](const auto& problem) -> const char* {
  return problem.dtype == DType::f32 ? nullptr : "dtype is not f32";
};

constexpr Implementation<OptimizerProblem, OptimizerStepFn> step_table[] = {
    ATROUS_ON_GPU("vectorised", only_f32, optimizer_step_vectorised),
    ATROUS_ON_GPU("naive", only_f32, optimizer_step_naive),
    {"cpu", Device::cpu, only_f32, optimizer_step_cpu},
    {"ref", Device::cpu, why_not_bf16, optimizer_step_ref},
};
constexpr Implementation<SumOfSquaresProblem, SumOfSquaresFn> squares_table[] = {
    ATROUS_ON_GPU("vectorised", only_f32, sum_of_squares_vectorised),
    ATROUS_ON_GPU("naive", only_f32, sum_of_squares_naive),
    {"cpu", Device::cpu, only_f32, sum_of_squares_cpu},
    {"ref", Device::cpu, why_not_bf16, sum_of_squares_ref},
};

void check_like(const char* what, const Tensor& t, const Tensor& value, DType dtype) {
  ATROUS_CHECK(t.defined() && t.shape() == value.shape() && t.dtype() == dtype && t.contiguous(),
               ErrorKind::usage,
               "[optimizer_step] {} must be contiguous {} with the shape of its parameter. Got {} for {}.",
               what, name_of(dtype), t.describe(), value.describe());
  check_same_device("optimizer_step", {value, t});
}

void check_update(OptimizerRule rule, const ParameterUpdate& u, const Tensor& first) {
  const DType dtype = first.dtype();
  ATROUS_CHECK(u.value.defined() && is_floating(dtype) && dtype != DType::bf16, ErrorKind::usage,
               "[optimizer_step] parameters must be f32 or f64. Got {}. Keep bf16 as a copy of them.",
               u.value.describe());
  check_same_device("optimizer_step", {first, u.value});
  check_like("a parameter", u.value, u.value, dtype);
  check_like("a gradient", u.gradient, u.value, dtype);
  for (int i = 0; i < moments_of(rule); ++i)
    check_like("a moment", u.moments[static_cast<size_t>(i)], u.value, dtype);
  if (u.low_precision.defined()) check_like("a copy", u.low_precision, u.value, DType::bf16);
}

// What a step writes, in order.
std::vector<Tensor> outputs_of(OptimizerRule rule, const std::vector<ParameterUpdate>& parameters) {
  std::vector<Tensor> outputs;
  for (const ParameterUpdate& u : parameters) {
    outputs.push_back(u.value);
    for (int i = 0; i < moments_of(rule); ++i) outputs.push_back(u.moments[static_cast<size_t>(i)]);
    if (u.low_precision.defined()) outputs.push_back(u.low_precision);
  }
  return outputs;
}

Tensor host_copy(const Tensor& t) {
  return t.defined() ? t.to(Device::cpu).clone() : Tensor();
}

std::vector<ParameterUpdate> host_copies(const std::vector<ParameterUpdate>& parameters) {
  std::vector<ParameterUpdate> copies;
  for (const ParameterUpdate& u : parameters) {
    copies.push_back({host_copy(u.value),
                      host_copy(u.gradient),
                      {host_copy(u.moments[0]), host_copy(u.moments[1])},
                      host_copy(u.low_precision)});
  }
  return copies;
}

}  // namespace

const char* name_of(OptimizerRule rule) {
  static constexpr const char* names[] = {"plain_sgd", "sgd", "adam", "rmsprop", "average"};
  return names[static_cast<int>(rule)];
}

int moments_of(OptimizerRule rule) {
  int moments = 0;
  visit_rule(rule, [&]<class Rule>(Rule) { moments = Rule::moments; });
  return moments;
}

std::string OptimizerProblem::str() const {
  return fmt::format("{} {}, {} parameters of {} elements", name_of(rule), name_of(dtype), parameters, numel);
}

std::string SumOfSquaresProblem::str() const {
  return fmt::format("{}, {} tensors of {} elements", name_of(dtype), tensors, numel);
}

void optimizer_step(OptimizerRule rule, const OptimizerCoefficients& coefficients,
                    const std::vector<ParameterUpdate>& parameters) {
  if (parameters.empty()) return;
  const Tensor& first = parameters[0].value;
  OptimizerProblem problem{rule, coefficients, static_cast<int64_t>(parameters.size()), 0, first.dtype()};
  for (const ParameterUpdate& u : parameters) {
    check_update(rule, u, first);
    problem.numel += u.value.numel();
  }
  const auto& row = choose("optimizer_step", "optimizer_step.step", step_table, problem, first.device());
  // dispatch() compares ops that write what they do not read; here everything written is also read.
  const auto before = validation_is_on() ? host_copies(parameters) : std::vector<ParameterUpdate>();
  {
    const OpScope scope("optimizer_step.step", row, problem);
    row.run(problem, parameters);
  }
  if (validation_is_on()) {
    optimizer_step_ref(problem, before);
    std::vector<Tensor> chosen;
    for (const Tensor& t : outputs_of(rule, parameters)) chosen.push_back(t.to(Device::cpu));
    compare_with_reference("optimizer_step.step", problem.str(), row.name, chosen, outputs_of(rule, before));
  }
  for (const Tensor& t : outputs_of(rule, parameters)) t.bump_version();
}

void sum_of_squares(const std::vector<Tensor>& tensors, const Tensor& result) {
  ATROUS_CHECK(result.defined() && result.numel() == 1 && result.dtype() == DType::f64, ErrorKind::usage,
               "[sum_of_squares] the result must be one f64. Got {}.", result.describe());
  SumOfSquaresProblem problem{static_cast<int64_t>(tensors.size())};
  if (!tensors.empty()) problem.dtype = tensors[0].dtype();
  for (const Tensor& t : tensors) {
    ATROUS_CHECK(t.defined() && t.dtype() == problem.dtype && t.contiguous() && is_floating(t.dtype()),
                 ErrorKind::usage,
                 "[sum_of_squares] tensors must be contiguous, floating and of one dtype. Got {}.",
                 t.describe());
    check_same_device("sum_of_squares", {result, t});
    problem.numel += t.numel();
  }
  dispatch("optimizer_step", "optimizer_step.sum_of_squares", squares_table, problem, {result}, tensors,
           result);
  result.bump_version();
}

std::vector<std::string> optimizer_step_candidates(std::string_view entry, const OptimizerProblem& problem,
                                                   Device device) {
  if (entry == "step") return candidates(step_table, problem, device);
  unknown_entry("optimizer_step", entry);
}

std::vector<std::string> sum_of_squares_candidates(std::string_view entry, const SumOfSquaresProblem& problem,
                                                   Device device) {
  if (entry == "sum_of_squares") return candidates(squares_table, problem, device);
  unknown_entry("optimizer_step", entry);
}

}  // namespace atrous::kernels
