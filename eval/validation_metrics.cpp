#include "eval/validation_metrics.h"

#include <algorithm>
#include <array>
#include <iterator>

#include "core/error.h"
#include "eval/classification_metrics.h"
#include "eval/coco_metrics.h"
#include "eval/semantic_metrics.h"

namespace atrous::eval {
namespace {

std::vector<ValidationMetric> semantic() {
  std::vector<ValidationMetric> list;
  for (const SemanticMetric& m : semantic_metrics()) {
    if (m.value && m.source == MetricSource::confusion) list.push_back({m.key, m.better});
  }
  return list;
}

std::vector<ValidationMetric> of_detection() {
  std::vector<ValidationMetric> list;
  for (const char* what : {"box_", "mask_"}) {
    for (const CocoMetric& m : coco_metrics()) {
      if (m.validation) list.push_back({std::string(what) + m.key, m.better});
    }
  }
  return list;
}

std::vector<ValidationMetric> of_classification() {
  std::vector<ValidationMetric> list;
  for (const ClassificationMetric& m : classification_metrics()) list.push_back({m.key, m.better});
  return list;
}

constexpr std::array<TaskKind, 3> tasks{TaskKind::semantic, TaskKind::detection, TaskKind::classification};

}  // namespace

const std::vector<ValidationMetric>& validation_metrics(TaskKind task) {
  static const std::vector<ValidationMetric> lists[] = {semantic(), of_detection(), of_classification()};
  return lists[static_cast<size_t>(task)];
}

std::vector<std::string> validation_keys(TaskKind task) {
  std::vector<std::string> keys;
  for (const ValidationMetric& m : validation_metrics(task)) keys.push_back(m.key);
  return keys;
}

std::vector<std::string> validation_keys() {
  std::vector<std::string> keys;
  for (const TaskKind task : tasks) std::ranges::copy(validation_keys(task), std::back_inserter(keys));
  return keys;
}

Better better_of(const std::string& key) {
  for (const TaskKind task : tasks) {
    for (const ValidationMetric& m : validation_metrics(task)) {
      if (m.key == key) return m.better;
    }
  }
  fail(ErrorKind::internal, "[metrics] a validation must give the score. Got \"{}\", which none gives.", key);
}

}  // namespace atrous::eval
