// COCO scores as text: the output of `metrics coco` and `eval`.
#pragma once

#include <cstdio>
#include <string>

#include "eval/coco_scores.h"
#include "eval/voc_ap.h"

namespace atrous::eval {

// Three digits; a dash for what does not exist.
std::string coco_score_text(double score);
// The 12 numbers in pycocotools' form, and the counts. `absent` is printed for scores that do not exist;
// pycocotools prints -1.000.
void print_coco_stats(std::FILE* out, const CocoSummary& summary, const char* absent);
void print_coco_errors(std::FILE* out, const CocoSummary& summary);
// A row per class.
void print_coco_classes(std::FILE* out, const CocoSummary& summary);

// `rule`: "11 points".
void print_voc(std::FILE* out, const VocSummary& summary, const std::string& rule, bool per_class);

}  // namespace atrous::eval
