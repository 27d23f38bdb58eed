// The outputs of a run while it runs: metrics.jsonl for scripts, TensorBoard events for curves, stderr for
// people.
#pragma once

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "core/device.h"
#include "core/json_value.h"
#include "train/event_writer.h"

namespace atrous::train {

struct StepRecord {
  int64_t step = 0;  // steps done
  double epoch = 0;
  double loss = 0;  // mean since the line before
  double lr = 0;
  double gradient_norm = 0;
  double images_per_second = 0;
  double data_wait = 0;  // share of the time spent waiting for the loader, 0 to 1
  std::vector<std::pair<std::string, double>> terms = {};  // of the loss, means like it
};

// The results of a validation, in the forms in which they are written.
struct Validation {
  // By the names of configs and commands; undefined scores are left out, here and among the curves.
  std::vector<std::pair<std::string, double>> scores;
  JsonValue line;                                      // members of its line in metrics.jsonl
  JsonValue best;                                      // members of best.json, if it is the best
  std::vector<std::pair<std::string, double>> curves;  // of TensorBoard, by tag
  std::string text;                                    // human-readable
  std::vector<std::string> warnings;                   // results that are probably a mistake
  // False if the set has nothing from which the main score could be computed: no weights are then better than
  // others, and the newest count as the best.
  bool scored = true;
  double seconds = 0;
};

class RunLog {
 public:
  // Lines of metrics.jsonl after `first_step`, and validations after `last_validation`, are dropped: the run
  // that wrote them died before its next checkpoint, and they are about to be written again. Lines name the
  // device: a run may be resumed on another one.
  RunLog(const std::string& folder, int64_t first_step, int64_t last_validation, int64_t total_steps,
         Device device);
  ~RunLog();
  RunLog(const RunLog&) = delete;
  RunLog& operator=(const RunLog&) = delete;

  void step(const StepRecord& record);
  void validation(int64_t step, const Validation& validation, bool is_best);
  void image(const std::string& tag, int64_t step, const std::string& png_path, int64_t height,
             int64_t width);
  // The progress bar; does nothing if stderr is not a terminal.
  void progress(int64_t step, double loss);
  void validation_progress(int64_t done, int64_t total);
  // A line on stderr. A closed stderr is no error.
  void message(const std::string& text);

 private:
  void line(JsonValue& value);
  void bar(const std::string& text);

  std::string folder_;
  int64_t first_step_;
  int64_t total_steps_;
  Device device_;
  std::FILE* metrics_ = nullptr;
  EventWriter events_;
  bool write_failed_ = false;
  bool terminal_;
  std::chrono::steady_clock::time_point start_;
  std::chrono::steady_clock::time_point last_bar_{};
};

// The lines of a metrics.jsonl, without torn ones (killed, or disk full, while writing).
std::vector<JsonValue> read_metrics(const std::string& path);

// report.html, from the other files of the run alone: it can be made again at any time. Error(io).
void write_report(const std::string& run_folder);

}  // namespace atrous::train
