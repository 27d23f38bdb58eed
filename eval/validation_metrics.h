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
// and of masks.
const std::vector<ValidationMetric>& validation_metrics(bool detection);
std::vector<std::string> validation_keys(bool detection);

// Error(internal) for a key that is in neither list.
Better better_of(const std::string& key);

}  // namespace atrous::eval
