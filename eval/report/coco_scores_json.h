// COCO scores as every file and `--json` holds them.
#pragma once

#include "core/json_value.h"
#include "eval/coco_scores.h"
#include "eval/voc_ap.h"

namespace atrous::eval {

// stats (the 12 numbers in pycocotools' order), images, objects, detections, per_class[], pr_curves
// (precision of classes with objects at the 101 recalls), errors (kind -> count, ap50_gain). What does not
// exist (scores of a class without objects, of the 12 numbers those of sizes without objects) is null.
JsonValue coco_to_json(const CocoSummary& summary);
// The inverse; missing members keep their defaults.
CocoSummary coco_from_json(const JsonValue& json);

// rule, mean_ap, per_class[].
JsonValue voc_to_json(const VocSummary& summary, const std::string& rule);

}  // namespace atrous::eval
