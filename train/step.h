// One optimiser step: load, forward, loss, backward, finite check, update.
#pragma once

#include "train/optimizer.h"
#include "train/task.h"

namespace atrous::train {

struct StepResult {
  double loss = 0;                                    // before the update, mean over the accumulated batches
  std::vector<std::pair<std::string, double>> terms;  // of the loss, likewise; empty if there is one
  double gradient_norm = 0;
  double lr = 0;
  int64_t images = 0;
};

// Step number `step` of a run, over `accumulate` batches from `next`, at learning rate `lr`. If the loss or a
// gradient is NaN or Inf, the weights stay as they are (not so the running statistics of batch norm) and
// Error(diverged) names the first layer where it appears and the images of the batch.
StepResult train_step(Optimizer& optimizer, const std::function<TrainingBatch()>& next, int64_t accumulate,
                      int64_t step, double lr);

}  // namespace atrous::train
