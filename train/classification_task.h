// Training a network that classifies whole images.
#pragma once

#include "data/class_loader.h"
#include "eval/classify.h"
#include "layers/losses.h"
#include "train/task.h"

namespace atrous::train {

class ClassificationTask : public Task {
 public:
  ClassificationTask(const Config& config, bool weights_follow, const data::ClassList* stored);

  layers::Model& model() override { return *model_; }
  const std::vector<data::ClassInfo>& classes() const override { return train_->classes(); }
  int64_t training_images() const override { return train_->size(); }
  void begin(RunState& state, int64_t first, int64_t needed) override;
  std::vector<std::string> describe() const override;
  TrainingBatch next() override;
  double wait_seconds() const override { return loader_->wait_seconds(); }
  std::string first_loss_warning(double loss) const override;
  const char* main_score() const override { return eval::classification_metrics().front().key; }
  std::optional<Validation> validate(int64_t step, const RunFolder& folder, RunLog& log) override;

 private:
  const Config config_;
  std::vector<std::string> notes_;  // on classes, lines of text
  const std::unique_ptr<data::ImageFolders> train_, val_;
  const std::shared_ptr<layers::SegmentationModel> model_;
  std::vector<double> class_weights_;
  layers::LossOptions loss_;
  std::optional<data::ClassLoader> loader_;
};

}  // namespace atrous::train
