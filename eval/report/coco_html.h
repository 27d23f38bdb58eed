// COCO scores for HTML reports: `train`, `eval` and `metrics coco` show the same.
#pragma once

#include <string>

#include "eval/coco_scores.h"

namespace atrous::eval {

// Cards of the most important numbers, for <div class="cards">. `what`: "box" or "mask".
std::string coco_cards(const CocoSummary& summary, const std::string& what);
// Cards with the numbers of objects, detections and images: the same for boxes and masks.
std::string coco_count_cards(const CocoSummary& summary);
// The 12 numbers, the scores of classes, the cost of each kind of error, and precision by recall.
std::string coco_sections(const CocoSummary& summary, const std::string& what);

// All of it on a page; `sub` stands below the heading.
std::string coco_page(const CocoSummary& summary, const std::string& what, const std::string& sub);

}  // namespace atrous::eval
