#include "train/weight_average.h"

#include <algorithm>

#include "kernels/optimizer_step/optimizer_step.h"

namespace atrous::train {

WeightAverage::WeightAverage(const layers::Module& model, const AverageOptions& options) : options_(options) {
  model.visit([this](const std::string& name, const Variable* parameter, const Tensor* buffer) {
    const Tensor& value = parameter ? parameter->value() : *buffer;
    live_.push_back(value);
    averages_.emplace_back(name, value.clone());
  });
}

void WeightAverage::update(int64_t step) {
  if (!begun(step)) return;
  const auto t = static_cast<double>(step);
  const bool exponential = options_.decay > 0, first = !exponential && step == options_.first_step;
  kernels::OptimizerCoefficients coefficients;
  coefficients.lr =
      static_cast<float>(exponential ? 1 - std::min(options_.decay, (1 + t) / (10 + t))
                                     : 1.0 / static_cast<double>(step - options_.first_step + 1));
  std::vector<kernels::ParameterUpdate> updates;
  for (size_t i = 0; i < live_.size(); ++i) {
    const Tensor& average = averages_[i].second;
    if (live_[i].dtype() == DType::f32 && !first) {
      updates.push_back({average, live_[i], {}, {}});
    } else {
      average.copy_from(live_[i]);
    }
  }
  kernels::optimizer_step(kernels::OptimizerRule::average, coefficients, updates);
}

void WeightAverage::swap() {
  for (size_t i = 0; i < live_.size(); ++i) {
    const Tensor kept = live_[i].clone();
    live_[i].copy_from(averages_[i].second);
    averages_[i].second.copy_from(kept);
  }
}

}  // namespace atrous::train
