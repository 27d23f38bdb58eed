// The plan of a run, and the conditions that must hold before, while and after it runs.
#pragma once

#include <string>
#include <vector>

#include "train/checkpoint.h"
#include "train/config.h"

namespace atrous::train {

// Steps of a run and the distances between its events.
struct Plan {
  int64_t total_steps = 0;
  double steps_per_epoch = 0;
  int64_t validate_every = 0;
  int64_t checkpoint_every = 0;
};

// `training_images`: 0 for given batches.
Plan make_plan(const Config& config, int64_t training_images);

// Requirements of training beyond a valid config. Error(config).
void check_trainable(const Config& config);

// A resumed run must be the same run: Error(config) lists the keys that differ, except `allowed` and
// those that determine paths, speed and logging.
void check_same_config(const Config& stored, const Config& now, const std::vector<std::string>& allowed);

struct Verdict {
  bool met = true;
  std::vector<std::string> lines;  // one per metric
};
// Compares `expected` with the scores of the best validation.
Verdict check_expectations(const Config& config, const RunState& state);

}  // namespace atrous::train
