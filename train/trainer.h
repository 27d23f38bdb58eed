// The training loop.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "train/config.h"

namespace atrous::train {

struct RunOptions {
  std::string out_dir;
  Device device = Device::cpu;
  bool resume = false;
  std::vector<std::string> allow_change;  // config keys that may differ from the checkpoint's on resume
  bool dry_run = false;                   // build, estimate memory, one batch, stop
  // Called after each optimiser step, before it is saved or validated, with the number of steps done.
  std::function<void(int64_t step)> on_step;
};

struct RunResult {
  int64_t steps = 0;
  std::string main_score;            // name of the score by which weights are the best, e.g. "miou"
  std::optional<double> best_score;  // none if nothing was scored
  // Mean over the steps since the last line of the log before the end, as that line has it; that of the step
  // of a dry run. None if there was nothing left to do.
  std::optional<double> last_loss;
  bool interrupted = false;  // by a signal, after a clean save
  int signal = 0;
  bool timed_out = false;         // by train.max_minutes, after a clean save
  bool expectation_met = true;    // true as well for a run that was stopped before its end
  int64_t parameters = 0;         // trainable and frozen
  int64_t peak_memory_bytes = 0;  // peak memory held by tensors in this process
};

// Trains as `config` says and leaves config.json, metrics.jsonl, TensorBoard events, checkpoints, pictures
// and report.html in out_dir. A run stopped by a signal or by time and resumed leaves what an uninterrupted
// one leaves. Error(diverged) names the first layer with NaN or Inf; the last good checkpoint stays.
RunResult run_training(const Config& config, const RunOptions& options);

}  // namespace atrous::train
