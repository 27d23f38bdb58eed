// One optimiser step: load, forward, loss, backward, finite check, update.
#pragma once

#include "layers/losses.h"
#include "train/batches.h"
#include "train/optimizer.h"

namespace atrous::train {

struct StepResult {
  double loss = 0;  // before the update, mean over the accumulated batches
  double gradient_norm = 0;
  double lr = 0;
  int64_t images = 0;
};

// Step number `step` of a run with `seed`, over `accumulate` batches, at learning rate `lr`. If the loss or a
// gradient is NaN or Inf, the weights stay as they are (not so the running statistics of batch norm) and
// Error(diverged) names the first layer where it appears and the images of the batch.
StepResult train_step(layers::SegmentationModel& model, Optimizer& optimizer, BatchSource& batches,
                      const layers::LossOptions& loss, int64_t accumulate, uint64_t seed, int64_t step,
                      double lr);

}  // namespace atrous::train
