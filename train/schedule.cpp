#include "train/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace atrous::train {

double learning_rate(const ScheduleOptions& options, double lr, int64_t step, int64_t total_steps) {
  const double t =
      std::min(1.0, static_cast<double>(step) / static_cast<double>(std::max<int64_t>(1, total_steps)));
  double value = lr;
  switch (options.name) {
    case ScheduleKind::constant: break;
    case ScheduleKind::poly:
      value = options.min_lr + (lr - options.min_lr) * std::pow(1 - t, options.power);
      break;
    case ScheduleKind::cosine:
      value = options.min_lr + (lr - options.min_lr) * (1 + std::cos(std::numbers::pi * t)) / 2;
      break;
    case ScheduleKind::exponential: value = lr * std::pow(options.min_lr / lr, t); break;
    case ScheduleKind::step:
      for (int64_t milestone : options.milestones) value *= milestone <= step ? options.gamma : 1.0;
      break;
  }
  if (step < options.warmup_steps) {
    const double w = static_cast<double>(step) / static_cast<double>(options.warmup_steps);
    value *= options.warmup_factor + (1 - options.warmup_factor) * w;
  }
  return value;
}

}  // namespace atrous::train
