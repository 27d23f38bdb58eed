// The scores of a validation during training, under the names that `expected` of configs,
// metrics.jsonl, best.json and checkpoints use.
#pragma once

#include <string>
#include <vector>

#include "eval/metric.h"

namespace atrous::eval {

struct ValidationMetric {
  std::string key;  // "miou", "box_ap50"
  Better better = Better::higher;
};

// The semantic metrics of the confusion matrix; for detection models the COCO numbers marked for it, of boxes
// and of masks; all metrics of classification.
const std::vector<ValidationMetric>& validation_metrics(TaskKind task);
std::vector<std::string> validation_keys(TaskKind task);
// Those of all tasks.
std::vector<std::string> validation_keys();

// Error(internal) for a key that is in no list.
Better better_of(const std::string& key);

}  // namespace atrous::eval
