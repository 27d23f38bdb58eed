// The table of COCO's 12 numbers, in pycocotools' order: what each counts, and where it is shown.
#pragma once

#include <array>
#include <cstddef>
#include <string>

#include "eval/coco_scores.h"
#include "eval/metric.h"

namespace atrous::eval {

struct CocoMetric {
  const char* key;      // of a class in JSON; "box_" or "mask_" before it: in `expected`, logs and best.json
  const char* title;    // on cards and curves
  bool recall = false;  // else precision
  // Thresholds [first, last) of coco::iou_thresholds(), area range (0: all), and detections per image that
  // count, as an index into coco::detection_limits.
  size_t first = 0, last = coco::thresholds, area = 0, limit = 2;
  double CocoClassScores::*of_class = nullptr;  // null: classes do not have it
  const char* column = "";                      // heading in tables of classes
  bool card = false;                            // a card in reports
  bool validation = false;                      // in the scores of validations
  bool curve = false;                           // a curve in a run's report
  Better better = Better::higher;
};

const std::array<CocoMetric, 12>& coco_metrics();

// "Average Precision  (AP) @[ IoU=0.50:0.95 | area=   all | maxDets=100 ]": the row as pycocotools prints it.
std::string coco_stat_name(const CocoMetric& metric);

}  // namespace atrous::eval
