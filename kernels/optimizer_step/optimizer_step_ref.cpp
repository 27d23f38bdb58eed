#include "kernels/optimizer_step/optimizer_step_impl.h"

namespace atrous::kernels {
namespace {

// Computes in double on copies, whatever the tensors hold.
void update_one(const OptimizerProblem& problem, const ParameterUpdate& u) {
  const int64_t n = u.value.numel();
  const Tensor p = u.value.clone().to(DType::f64), g = u.gradient.to(DType::f64);
  Tensor moments[2];
  double* m[2] = {};
  for (int i = 0; i < moments_of(problem.rule); ++i) {
    moments[i] = u.moments[static_cast<size_t>(i)].to(DType::f64);
    m[i] = moments[i].data<double>();
  }
  visit_rule(problem.rule, [&]<class Rule>(Rule) {
    update_range<Rule>(p.data<double>(), g.data<double>(), m[0], m[1], n, problem.coefficients);
  });
  u.value.copy_from(p);
  for (int i = 0; i < moments_of(problem.rule); ++i) u.moments[static_cast<size_t>(i)].copy_from(moments[i]);
  if (u.low_precision.defined()) u.low_precision.copy_from(u.value);
}

}  // namespace

void optimizer_step_ref(const OptimizerProblem& problem, const std::vector<ParameterUpdate>& parameters) {
  for (const ParameterUpdate& u : parameters) update_one(problem, u);
}

void sum_of_squares_ref(const SumOfSquaresProblem&, const std::vector<Tensor>& tensors,
                        const Tensor& result) {
  double sum = 0;
  for (const Tensor& t : tensors) {
    const Tensor wide = t.to(DType::f64);
    for (int64_t i = 0; i < t.numel(); ++i) sum += wide.data<double>()[i] * wide.data<double>()[i];
  }
  *result.data<double>() = sum;
}

}  // namespace atrous::kernels
