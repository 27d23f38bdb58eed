// How `eval` and `metrics semantic` show their scores: one table for people, one JSON for scripts.
#pragma once

#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "eval/evaluate.h"
#include "nets/model_options.h"

namespace atrous::cli {

// A CRF, and the scores before it.
struct CrfScores {
  eval::CrfOptions options;
  eval::SetScores before;
  int64_t tiled_images = 0, most_tiles = 1;  // see eval::EvaluationResult
};
// "12 of 100 images in up to 4 parts, to stay within 900 MiB: an approximation"; empty if all were whole.
std::string crf_tiles_text(const CrfScores& crf, int64_t images);

struct ScoresReport {
  std::string network;  // nets::describe; empty if none was run
  eval::SemanticScores scores;
  eval::ConfusionMatrix confusion{0};
  int64_t images = 0;
  std::optional<double> loss;
  std::vector<eval::ImageScore> image_scores;
  std::optional<CrfScores> crf;
  // What was scored and how, in order of printing: {"resolution", "that of the label files"}. Keys of the
  // JSON too.
  std::vector<std::pair<std::string, std::string>> facts;
};

// The key of a fact in JSON: "boundary F1" is boundary_F1.
std::string fact_key(std::string name);
// Facts about a network: "network", and where they are set "backbone", "width" (width_multiplier) and
// "CRF as RNN" (crf_as_rnn).
std::vector<std::pair<std::string, std::string>> facts_of(const nets::ModelOptions& model);

void print_scores(std::FILE* out, const ScoresReport& report);
// Keys: the metrics (eval/semantic_metrics.h; null if not computed), boundary_tolerance, loss, images,
// pixels, ignored_pixels, classes_in_mean, absent_classes[], excluded_classes[], per_class[],
// confusion[gt][pred], per_image[], with a CRF crf (its
// parameters, tiled_images, most_tiles, and `before` with the scores before it), and the facts. What does not
// exist (the IoU of an absent class, all means without a scored pixel) is null.
std::string scores_json(const ScoresReport& report);

}  // namespace atrous::cli
