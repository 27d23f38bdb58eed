// Optimisers: how weights follow gradients. The formulas, and the order of operations in them, are PyTorch's.
//
// With g the (clipped) gradient, p the parameter, wd the weight decay, t the step counted from 1:
//
//   sgd      g += wd p;  b = momentum b + g;  p -= lr (nesterov ? g + momentum b : b)
//   adam     g += wd p;  m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g^2;
//            p -= lr / (1 - b1^t) * m / (sqrt(v) / sqrt(1 - b2^t) + eps)           (Kingma & Ba, arXiv
//            1412.6980)
//   adamw    p -= lr wd p, then adam without wd                                    (Loshchilov & Hutter,
//   arXiv 1711.05101) rmsprop  g += wd p;  s = alpha s + (1 - alpha) g^2;  b = momentum b + g / (sqrt(s) +
//   eps);  p -= lr b
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "layers/module.h"
#include "train/config.h"

namespace atrous::train {

class Optimizer {
 public:
  // Holds handles of the parameters that require a gradient; the others never change. Parameters are f32.
  // Those whose name begins with `backbone_prefix` (unless it is empty) learn at lr * backbone_lr_factor.
  Optimizer(const OptimizerOptions& options, const std::vector<layers::NamedParameter>& parameters,
            const std::string& backbone_prefix);

  // Clips the gradients, updates all parameters that have one, and forgets the gradients. `lr` is this step's
  // rate. `gradient_norm`: of these gradients, where the caller has it already.
  void step(double lr, double gradient_norm);
  void step(double lr) { step(lr, options_.clip_norm > 0 ? gradient_norm() : 0); }
  // L2 norm over all gradients. Added in a fixed order: the same bits on any number of threads. Not finite if
  // any gradient is not.
  double gradient_norm() const;
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
    double lr_factor = 1;
    double weight_decay = 0;
    std::vector<Tensor> moments;
  };
  OptimizerOptions options_;
  std::vector<std::string> moment_names_;
  std::vector<Slot> slots_;
  int64_t steps_ = 0;
};

}  // namespace atrous::train
