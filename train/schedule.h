// Learning rate over steps.
#pragma once

#include <cstdint>

#include "train/config.h"

namespace atrous::train {

// The learning rate of step `step` (0-based) of `total_steps`: a pure function of the step number, so that a
// resumed run follows the same curve. With t = step / total_steps:
//
//   constant  lr
//   poly      min_lr + (lr - min_lr) (1 - t)^power                  (Liu et al., ParseNet, arXiv 1506.04579)
//   cosine    min_lr + (lr - min_lr) (1 + cos(pi t)) / 2            (Loshchilov & Hutter, arXiv 1608.03983)
//   exponential  lr (min_lr / lr)^t
//   step      lr gamma^(number of milestones <= step)
//
// During the first warmup_steps the value is multiplied by a factor that rises linearly from warmup_factor
// to 1.
double learning_rate(const ScheduleOptions& options, double lr, int64_t step, int64_t total_steps);

}  // namespace atrous::train
