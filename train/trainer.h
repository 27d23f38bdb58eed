// The training loop.
#pragma once

#include <functional>
#include <string>

#include "train/config.h"

namespace atrous::train {

struct RunOptions {
  std::string out_dir;
  bool resume = false;
  std::vector<std::string> allow_change;  // config keys that may differ from the checkpoint's on resume
  bool dry_run = false;                   // build, forecast memory, one batch, stop
};

struct RunResult {
  int64_t steps = 0;
  double best_miou = 0;
  double last_loss = 0;
  bool interrupted = false;  // by a signal, after a clean save
  int signal = 0;
  bool expectation_met = true;
  int64_t parameters = 0;         // trainable and frozen
  int64_t peak_memory_bytes = 0;  // held by tensors at the worst moment of this process
};

// Trains as `config` says and leaves config.json, metrics.jsonl, TensorBoard events, checkpoints, pictures
// and report.html in out_dir. Error(diverged) names the first layer with NaN or Inf; the last good checkpoint
// stays.
RunResult run_training(const Config& config, const RunOptions& options);

}  // namespace atrous::train
