// Averages of the weights: exponential (Polyak), or the mean of the last steps of a run (Izmailov et al.,
// "Averaging weights leads to wider optima", arXiv:1803.05407).
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "layers/module.h"

namespace atrous::train {

struct AverageOptions {
  double decay = 0;        // exponential, if > 0
  int64_t first_step = 0;  // else the mean of the weights after this step and all later ones
};

// Running average of all weights and floating-point buffers, on the device where they are: a += f (w - a).
// Exponential: f = 1 - min(decay, (1 + t) / (10 + t)), so that the start values lose weight quickly. Mean: f
// = 1 / k for the k-th step. Integer buffers are copied.
class WeightAverage {
 public:
  WeightAverage(const layers::Module& model, const AverageOptions& options);
  // After the step of that number, from 1.
  void update(int64_t step);
  // Whether the averages stand for the weights after that step.
  bool begun(int64_t step) const { return options_.decay > 0 || step >= options_.first_step; }
  // Exchanges the weights of the model with the averages: once before evaluating with them, once after.
  void swap();
  // Shares memory with the averages.
  const std::vector<std::pair<std::string, Tensor>>& averages() const { return averages_; }

 private:
  std::vector<Tensor> live_;  // share memory with the model, in the order of averages_
  std::vector<std::pair<std::string, Tensor>> averages_;
  AverageOptions options_;
};

}  // namespace atrous::train
