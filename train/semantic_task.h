// Training a semantic model.
#pragma once

#include "eval/evaluate.h"
#include "eval/semantic_metrics.h"
#include "layers/losses.h"
#include "train/batches.h"
#include "train/task.h"

namespace atrous::train {

class SemanticTask : public Task {
 public:
  SemanticTask(const Config& config, bool weights_follow, const data::ClassList* stored);

  layers::Model& model() override { return *model_; }
  const std::vector<data::ClassInfo>& classes() const override { return sets_.classes; }
  int64_t training_images() const override { return sets_.train ? sets_.train->size() : 0; }
  void begin(RunState& state, int64_t first, int64_t needed) override;
  std::vector<std::string> describe() const override;
  TrainingBatch next() override;
  double wait_seconds() const override { return batches_->wait_seconds(); }
  std::string first_loss_warning(double loss) const override;
  const char* main_score() const override { return eval::semantic_metrics().front().key; }
  std::optional<Validation> validate(int64_t step, const RunFolder& folder, RunLog& log) override;

 private:
  const Config config_;
  const DataSets sets_;
  const std::shared_ptr<layers::SegmentationModel> model_;
  std::vector<double> class_weights_;
  layers::LossOptions loss_;
  std::optional<BatchSource> batches_;
};

// The loss of a batch. `seed` and the number of the batch determine the dropout masks.
TrainingBatch semantic_batch(layers::SegmentationModel& model, data::Batch batch,
                             const layers::LossOptions& options, uint64_t seed);

// "" or a warning about the loss of the very first batch, per pixel or per image.
std::string high_first_loss(const Config& config, double loss, const char* unit);

// Warnings about results that are probably a mistake: a class without a labelled pixel, predictions of one
// class only.
std::vector<std::string> suspicions(const eval::SemanticScores& scores);

}  // namespace atrous::train
