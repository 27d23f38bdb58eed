// Output of `eval` and `metrics semantic`: one table for terminals, one JSON for scripts.
#pragma once

#include <cstdio>
#include <string>
#include <vector>

#include "eval/evaluate.h"
#include "eval/report/page.h"

namespace atrous::eval {

// A CRF, and the scores before it.
struct CrfScores {
  CrfOptions options;
  SetScores before;
  int64_t tiled_images = 0, most_tiles = 1;  // see EvaluationResult
};
// "12 of 100 images in up to 4 parts, to stay within 900 MiB: an approximation"; empty if all were whole.
std::string crf_tiles_text(const CrfScores& crf, int64_t images);

struct ScoresReport {
  std::string network;  // nets::describe; empty if none was run
  SemanticScores scores;
  ConfusionMatrix confusion{0};
  int64_t images = 0;
  std::optional<double> loss;
  std::vector<ImageScore> image_scores;
  std::optional<CrfScores> crf;
  // What was scored and how, in order of printing: {"resolution", "that of the label files"}. JSON has the
  // same keys.
  Facts facts;
};

void print_scores(std::FILE* out, const ScoresReport& report);
// Keys: the metrics (eval/semantic_metrics.h; null if not computed), boundary_tolerance, loss, images,
// pixels, ignored_pixels, classes_in_mean, absent_classes[], excluded_classes[], per_class[],
// confusion[gt][pred], per_image[], with a CRF crf (its
// parameters, tiled_images, most_tiles, and `before` with the scores before it), and the facts. Undefined
// scores (the IoU of an absent class, all means without a scored pixel) are null.
std::string scores_json(const ScoresReport& report);

}  // namespace atrous::eval
