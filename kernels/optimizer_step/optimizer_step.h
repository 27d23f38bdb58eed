// One step of an optimiser on many parameters, and the norm of their gradients.
// Formulas: optimizer_step_math.h.
//
//   step             p, moments <- rule(p, gradient, moments), and p again in bf16 where a copy is kept
//   sum_of_squares   result = sum of x^2 over all elements of all tensors, in double and in a fixed order
//
// Networks have hundreds of parameters, most of them tiny: both take lists, so that a launch on a GPU serves
// many of them. Gradients are read where autograd left them.
//
// Not differentiable: no layer.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "core/tensor.h"
#include "kernels/common/operands.h"
#include "kernels/optimizer_step/optimizer_step_math.h"

namespace atrous::kernels {

enum class OptimizerRule : unsigned char { plain_sgd, sgd, adam, rmsprop, average };
const char* name_of(OptimizerRule rule);
// How many moments the rule keeps per element: 0, 1 or 2.
int moments_of(OptimizerRule rule);

// The tensors of one parameter. All are contiguous, of one shape and on one device.
struct ParameterUpdate {
  Tensor value;
  Tensor gradient;
  std::array<Tensor, 2> moments;  // as many as the rule has
  Tensor low_precision;           // bf16, or undefined

  static void each_tensor(auto& self, const auto& f) {
    f(self.value);
    f(self.gradient, Access::read);
    for (auto& moment : self.moments) f(moment);
    if (self.low_precision.defined()) f(self.low_precision, Access::write);
  }
};

struct OptimizerProblem {
  OptimizerRule rule;
  OptimizerCoefficients coefficients;
  int64_t parameters = 0, numel = 0;  // of all of them
  DType dtype = DType::f32;
  std::string str() const;  // "adam f32, 161 parameters of 31036481 elements"
};

struct SumOfSquaresProblem {
  int64_t tensors = 0, numel = 0;
  DType dtype = DType::f32;
  std::string str() const;
};

// f32; on the CPU also f64.
void optimizer_step(OptimizerRule rule, const OptimizerCoefficients& coefficients,
                    const std::vector<ParameterUpdate>& parameters);
// `result` is one f64 on the device of the tensors, which are contiguous. None at all give 0.
void sum_of_squares(const std::vector<Tensor>& tensors, const Tensor& result);

}  // namespace atrous::kernels
