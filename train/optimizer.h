// Optimisers, with PyTorch's formulas and order of operations: kernels/optimizer_step/optimizer_step_math.h.
//
// Values, gradients and moments stay where the network and autograd have them. A step hands lists of them to
// one op, which works through a list on the device: a launch serves many parameters.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "kernels/optimizer_step/optimizer_step.h"
#include "layers/module.h"
#include "train/config.h"
#include "train/parameter_rates.h"

namespace atrous::train {

// The rule of the op that a config's choice selects, and the names of the moments that it keeps.
struct OptimizerForm {
  kernels::OptimizerRule rule;
  std::vector<std::string> moments;
  bool decoupled_decay = false;  // of the weights themselves, not of the gradient
};
OptimizerForm form_of(const OptimizerOptions& options);

class Optimizer {
 public:
  // Holds handles of the parameters that require a gradient; the others never change. Parameters are f32, on
  // one device. Their rates and decay: train/parameter_rates.h. With `bf16_copies` each step also writes the
  // parameters' copies in bf16 (layers/low_precision.h).
  Optimizer(const OptimizerOptions& options, const std::vector<layers::NamedParameter>& parameters,
            const InBackbone& in_backbone = nullptr, bool bf16_copies = false);

  // Clips the gradients, updates all parameters that have one, and clears the gradients. `lr` is this step's
  // rate. `gradient_norm`: of these gradients, if the caller has computed it already.
  void step(double lr, double gradient_norm);
  void step(double lr) { step(lr, options_.clip_norm > 0 ? gradient_norm() : 0); }
  // L2 norm over all gradients. Added in a fixed order: bit-identical on any number of threads. Not finite if
  // any gradient is not. Waits for the device once.
  double gradient_norm() const;
  // Its square, one f64 on the device, so that it can be read together with other values.
  Tensor squared_gradient_norm() const;
  void clear_gradients();

  int64_t steps() const { return steps_; }
  // Moments, named "<slot>.<parameter>", e.g. "exp_avg.enc1.conv1.weight". They share memory with the
  // optimiser.
  std::vector<std::pair<std::string, Tensor>> state() const;
  void set_steps(int64_t steps) { steps_ = steps; }

 private:
  struct Slot {  // one parameter
    std::string name;
    Variable parameter;
    std::vector<Tensor> moments;
    Tensor bf16_copy;  // undefined without bf16_copies
  };
  // Parameters with the same coefficients: one call of the op updates them.
  struct Group {
    ParameterRate rate;
    std::vector<size_t> slots;
  };
  Group& group_of(const ParameterRate& rate);
  kernels::OptimizerCoefficients coefficients(const Group& group, double lr, double gradient_scale) const;

  OptimizerOptions options_;
  OptimizerForm form_;
  std::vector<Slot> slots_;
  std::vector<Group> groups_;
  int64_t steps_ = 0;
};

}  // namespace atrous::train
