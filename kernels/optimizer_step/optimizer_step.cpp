#include "kernels/optimizer_step/optimizer_step.h"

#include "kernels/common/entry.h"
#include "kernels/optimizer_step/optimizer_step_impl.h"

namespace atrous::kernels {
namespace {

// Parameters and their gradients are f32 whatever the dtype of the activations.
constexpr Entry<OptimizerProblem, OptimizerStepFn> step{
    "optimizer_step.step",
    {
        ATROUS_ON_GPU("vectorised", f32_only, optimizer_step_vectorised),
        ATROUS_ON_GPU("naive", f32_only, optimizer_step_naive),
        {"cpu", Device::cpu, f32_only, optimizer_step_cpu},
        {"ref", Device::cpu, f32_or_f64, optimizer_step_ref},
    }};
constexpr Entry<SumOfSquaresProblem, SumOfSquaresFn> squares{
    "optimizer_step.sum_of_squares",
    {
        ATROUS_ON_GPU("vectorised", f32_only, sum_of_squares_vectorised),
        ATROUS_ON_GPU("naive", f32_only, sum_of_squares_naive),
        {"cpu", Device::cpu, f32_only, sum_of_squares_cpu},
        {"ref", Device::cpu, f32_or_f64, sum_of_squares_ref},
    }};

void check_like(const char* what, const Tensor& t, const Tensor& value, DType dtype) {
  ATROUS_CHECK(t.defined() && t.shape() == value.shape() && t.dtype() == dtype && t.contiguous(),
               ErrorKind::usage,
               "[optimizer_step] {} must be contiguous {} with the shape of its parameter. Got {} for {}.",
               what, name_of(dtype), t.describe(), value.describe());
}

void check_update(OptimizerRule rule, const ParameterUpdate& u, const Tensor& first) {
  const DType dtype = first.dtype();
  ATROUS_CHECK(u.value.defined() && is_floating(dtype) && dtype != DType::bf16, ErrorKind::usage,
               "[optimizer_step] parameters must be f32 or f64. Got {}. Keep bf16 as a copy of them.",
               u.value.describe());
  check_like("a parameter", u.value, u.value, dtype);
  check_like("a gradient", u.gradient, u.value, dtype);
  for (int i = 0; i < moments_of(rule); ++i)
    check_like("a moment", u.moments[static_cast<size_t>(i)], u.value, dtype);
  if (u.low_precision.defined()) check_like("a copy", u.low_precision, u.value, DType::bf16);
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
  step(problem, updates(parameters));
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
    problem.numel += t.numel();
  }
  squares(problem, tensors, writes(result));
}

EntryList optimizer_step_entries() {
  return {&step, &squares};
}

}  // namespace atrous::kernels
