// Training a detection model.
#pragma once

#include "eval/evaluate_instances.h"
#include "train/task.h"

namespace atrous::train {

class DetectionTask : public Task {
 public:
  DetectionTask(const Config& config, bool weights_follow, const data::ClassList* stored);

  layers::Model& model() override { return *model_; }
  const std::vector<data::ClassInfo>& classes() const override { return train_->classes(); }
  int64_t training_images() const override { return static_cast<int64_t>(images_.members.size()); }
  void begin(RunState& state, int64_t first, int64_t needed) override;
  std::vector<std::string> describe() const override;
  TrainingBatch next() override;
  double wait_seconds() const override { return loader_->wait_seconds(); }
  std::string first_loss_warning(double) const override { return ""; }
  const char* main_score() const override { return model_->has_masks() ? "mask_ap" : "box_ap"; }
  std::optional<Validation> validate(int64_t step, const RunFolder& folder, RunLog& log) override;

 private:
  const Config config_;
  std::vector<std::string> notes_;  // notes on classes, lines of text
  const std::unique_ptr<data::InstanceDataset> train_, val_;
  const std::shared_ptr<layers::DetectionModel> model_;
  const data::TrainingImages images_;
  std::optional<data::InstanceLoader> loader_;
};

// The loss of a batch. `seed` and the number of the batch determine which anchors and proposals are sampled.
TrainingBatch detection_batch(layers::DetectionModel& model, data::InstanceBatch batch, uint64_t seed);

}  // namespace atrous::train
