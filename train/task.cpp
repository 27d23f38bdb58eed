#include "train/task.h"

#include "train/detection_task.h"
#include "train/semantic_task.h"

namespace atrous::train {

std::unique_ptr<Task> make_task(const Config& config, bool weights_follow) {
  if (nets::is_detector(config.model.name)) return std::make_unique<DetectionTask>(config, weights_follow);
  return std::make_unique<SemanticTask>(config, weights_follow);
}

}  // namespace atrous::train
