#include "train/task.h"

#include "train/semantic_task.h"

namespace atrous::train {

std::unique_ptr<Task> make_task(const Config& config, bool weights_follow) {
  return std::make_unique<SemanticTask>(config, weights_follow);
}

}  // namespace atrous::train
