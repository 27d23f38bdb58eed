// COCO scores for people: what `metrics coco` and `eval` print.
#pragma once

#include <cstdio>

#include "eval/coco_scores.h"

namespace atrous::cli {

// The 12 numbers as pycocotools prints them, and what was counted.
void print_coco_stats(std::FILE* out, const eval::CocoSummary& summary);
void print_coco_errors(std::FILE* out, const eval::CocoSummary& summary);
// A row per class.
void print_coco_classes(std::FILE* out, const eval::CocoSummary& summary);

}  // namespace atrous::cli
