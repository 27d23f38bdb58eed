// What a run trains, on which data, and how it is scored: the part of training that depends on the kind of
// network. The loop (train/trainer.h) uses a task only through this interface.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/random.h"
#include "layers/model.h"
#include "train/checkpoint.h"
#include "train/config.h"
#include "train/run_folder.h"
#include "train/run_log.h"

namespace atrous::train {

// The loss of a batch, on the tape.
struct BatchLoss {
  Variable total;  // scalar
  // The terms of which it is the sum, by name, for curves; empty if there is one.
  std::vector<std::pair<std::string, Variable>> terms = {};
};

// A batch of images whose loss can be computed any number of times, always with the same result.
struct TrainingBatch {
  std::vector<std::string> ids;  // one per image
  std::function<BatchLoss()> loss;
};

class Task {
 public:
  virtual ~Task() = default;
  virtual layers::Model& model() = 0;
  virtual const std::vector<data::ClassInfo>& classes() const = 0;
  // Images of the training set. 0: batches are given in a file, and there is no validation.
  virtual int64_t training_images() const = 0;

  // To be called before the first batch, whose number is `first`; at most `needed` are taken in all. A run
  // that starts (state.step is 0) stores in `state` what it must keep.
  virtual void begin(RunState& state, int64_t first, int64_t needed) = 0;
  // Lines for the start of a run: data sets, weights of classes.
  virtual std::vector<std::string> describe() const = 0;
  virtual TrainingBatch next() = 0;
  // Seconds that next() has waited for data so far.
  virtual double wait_seconds() const = 0;
  // "" or a warning about the loss of the very first batch.
  virtual std::string first_loss_warning(double loss) const = 0;

  // The score by which the best weights are chosen; larger is better.
  virtual const char* main_score() const = 0;
  // Scores the model as it is and writes sample pictures. Empty if a signal arrived during it.
  virtual std::optional<Validation> validate(int64_t step, const RunFolder& folder, RunLog& log) = 0;
};

// The random stream of a network in the batch of that number, as for dropout: a function of both, so that a
// resumed run draws the same.
RandomKey random_key_of_batch(uint64_t seed, int64_t batch);

// The task of the config's network. Its weights are initialised, or read from model.weights, unless
// `weights_follow`: then they will be overwritten. `stored`: the classes of a checkpoint that is resumed,
// which then define the labels; null: see class_source.h. Error(config), Error(data).
std::unique_ptr<Task> make_task(const Config& config, bool weights_follow,
                                const data::ClassList* stored = nullptr);

}  // namespace atrous::train
