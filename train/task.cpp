#include "train/task.h"

#include "train/classification_task.h"
#include "train/detection_task.h"
#include "train/semantic_task.h"

namespace atrous::train {

RandomKey random_key_of_batch(uint64_t seed, int64_t batch) {
  constexpr uint64_t dropout_stream = 0x64726f706f7574;  // "dropout"
  return {seed, mix_streams(dropout_stream, static_cast<uint64_t>(batch))};
}

std::unique_ptr<Task> make_task(const Config& config, bool weights_follow, const data::ClassList* stored) {
  if (nets::is_detector(config.model.name))
    return std::make_unique<DetectionTask>(config, weights_follow, stored);
  if (nets::is_classifier(config.model.name))
    return std::make_unique<ClassificationTask>(config, weights_follow, stored);
  return std::make_unique<SemanticTask>(config, weights_follow, stored);
}

}  // namespace atrous::train
