#include "eval/validation_metrics.h"

#include "core/error.h"
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

}  // namespace

const std::vector<ValidationMetric>& validation_metrics(bool detection) {
  static const std::vector<ValidationMetric> lists[] = {semantic(), of_detection()};
  return lists[detection];
}

std::vector<std::string> validation_keys(bool detection) {
  std::vector<std::string> keys;
  for (const ValidationMetric& m : validation_metrics(detection)) keys.push_back(m.key);
  return keys;
}

Better better_of(const std::string& key) {
  for (const bool detection : {false, true}) {
    for (const ValidationMetric& m : validation_metrics(detection)) {
      if (m.key == key) return m.better;
    }
  }
  fail(ErrorKind::internal, "[metrics] a validation must give the score. Got \"{}\", which none gives.", key);
}

}  // namespace atrous::eval
