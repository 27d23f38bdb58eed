// The implementations of optimizer_step; private to this folder.
#pragma once

#include "kernels/gpu/declare.h"
#include "kernels/optimizer_step/optimizer_step.h"

namespace atrous::kernels {

// f(Rule{}) for the formula of a rule.
template <class F>
void visit_rule(OptimizerRule rule, F&& f) {
  switch (rule) {
    case OptimizerRule::plain_sgd: return f(optimizer_rules::PlainSgd{});
    case OptimizerRule::sgd: return f(optimizer_rules::Sgd{});
    case OptimizerRule::adam: return f(optimizer_rules::Adam{});
    case OptimizerRule::rmsprop: return f(optimizer_rules::RmsProp{});
    case OptimizerRule::average: return f(optimizer_rules::Average{});
  }
}

// The loop of the reference and of the CPU implementation over one parameter. Pointers to moments that the
// rule lacks may be null.
template <class Rule, class T>
inline void update_range(T* p, const T* gradient, T* first, T* second, int64_t n, OptimizerCoefficients c) {
  for (int64_t i = 0; i < n; ++i) {
    T none{};
    if constexpr (Rule::moments == 0) Rule::update(p[i], gradient[i], none, none, c);
    if constexpr (Rule::moments == 1) Rule::update(p[i], gradient[i], first[i], none, c);
    if constexpr (Rule::moments == 2) Rule::update(p[i], gradient[i], first[i], second[i], c);
  }
}

using OptimizerStepFn = void(const OptimizerProblem&, const std::vector<ParameterUpdate>&);
using SumOfSquaresFn = void(const SumOfSquaresProblem&, const std::vector<Tensor>&, const Tensor& result);
OptimizerStepFn optimizer_step_ref, optimizer_step_cpu;
SumOfSquaresFn sum_of_squares_ref, sum_of_squares_cpu;
ATROUS_DECLARE_ON_GPU(OptimizerStepFn optimizer_step_naive, optimizer_step_vectorised;
                      SumOfSquaresFn sum_of_squares_naive, sum_of_squares_vectorised;)

}  // namespace atrous::kernels
