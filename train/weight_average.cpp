#include "train/weight_average.h"

#include <algorithm>

#include "core/cpu.h"
#include "core/parallel.h"

namespace atrous::train {
namespace {

ATROUS_MULTIVERSION
void move_towards(float* average, const float* target, int64_t n, float share) {
  for (int64_t i = 0; i < n; ++i) average[i] += share * (target[i] - average[i]);
}

}  // namespace

WeightAverage::WeightAverage(const layers::Module& model, double decay) : decay_(decay) {
  model.visit([this](const std::string& name, const Variable* parameter, const Tensor* buffer) {
    const Tensor& value = parameter ? parameter->value() : *buffer;
    live_.emplace_back(name, value);
    averages_.emplace_back(name, value.clone());
  });
}

void WeightAverage::update(int64_t step) {
  const auto t = static_cast<double>(step);
  const auto share = static_cast<float>(1 - std::min(decay_, (1 + t) / (10 + t)));
  for (size_t i = 0; i < live_.size(); ++i) {
    const Tensor& from = live_[i].second;
    const Tensor& to = averages_[i].second;
    if (from.dtype() != DType::f32) {
      to.copy_from(from);
      continue;
    }
    parallel_for(from.numel(), 1 << 15, [&](int64_t begin, int64_t end) {
      move_towards(to.data<float>() + begin, from.data<float>() + begin, end - begin, share);
    });
  }
}

void WeightAverage::swap() {
  for (size_t i = 0; i < live_.size(); ++i) {
    const Tensor kept = live_[i].second.clone();
    live_[i].second.copy_from(averages_[i].second);
    averages_[i].second.copy_from(kept);
  }
}

}  // namespace atrous::train
