// Exponential moving average of the weights (Polyak averaging).
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "layers/module.h"

namespace atrous::train {

// Running average of all weights and floating-point buffers, on the device where they are:
// a += (1 - d) (w - a), with d = min(decay, (1 + t) / (10 + t)) so that the start values lose weight quickly.
// Integer buffers are copied.
class WeightAverage {
 public:
  WeightAverage(const layers::Module& model, double decay);
  void update(int64_t step);
  // Exchanges the weights of the model with the averages: once before evaluating with them, once after.
  void swap();
  // Shares memory with the averages.
  const std::vector<std::pair<std::string, Tensor>>& averages() const { return averages_; }

 private:
  std::vector<Tensor> live_;  // share memory with the model, in the order of averages_
  std::vector<std::pair<std::string, Tensor>> averages_;
  double decay_;
};

}  // namespace atrous::train
