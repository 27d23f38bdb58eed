// A backbone that does not change in the first steps of a run.
#pragma once

#include <cstdint>
#include <vector>

#include "layers/model.h"

namespace atrous::train {

// While frozen, the backbone's parameters get no gradients and its modules run as in inference: norms keep
// their statistics, nothing is dropped. The new layers behind it learn from stable features first.
class BackboneFreeze {
 public:
  BackboneFreeze(layers::Model& model, int64_t steps);
  // To be called before each step of the run, counted from 0.
  void prepare(int64_t step);

 private:
  const int64_t steps_;
  bool frozen_ = false;
  std::vector<Variable> parameters_;      // the backbone's, without those that model.freeze excludes
  std::vector<layers::Module*> modules_;  // that hold nothing else
};

}  // namespace atrous::train
