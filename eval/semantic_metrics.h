// The table of semantic metrics, one row each. JSON, terminal tables, HTML reports, `expected` of configs,
// the best checkpoint and docs/metrics.md iterate over it: a new metric is a row, a test and its line in
// docs/metrics.md.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "eval/metric.h"
#include "eval/metrics.h"

namespace atrous::eval {

// The values from which the scores of a set, or of one image, are computed.
struct ScoreInput {
  const ConfusionMatrix& confusion;
  // Counts, and per-class scores with counts. The metrics of classes are computed before those of the set.
  const SemanticScores& scores;
  const BoundaryMean* boundary = nullptr;  // null: not computed
};

// Inputs that a metric needs. Only the metrics of the confusion matrix are always computed.
enum class MetricSource { confusion, boundary };

// Where a metric is shown, besides JSON and the tables that hold all of them.
enum Shown : unsigned {
  shown_card = 1,           // cards of `eval --report`
  shown_training_card = 2,  // cards of a run's report
  shown_curve = 4,          // curves and the console line of validations
  shown_per_image = 8,      // scores of single images
  shown_definition = 16,    // its definition is printed in `eval --report`
};

struct SemanticMetric {
  const char* key = "";    // in JSON, and in `expected` of configs
  const char* title = "";  // in tables
  const char* definition = "";
  Better better = Better::higher;
  MetricSource source = MetricSource::confusion;
  // Empty where the score is undefined (0/0). Null: only classes have this metric.
  std::optional<double> (*value)(const ScoreInput& input) = nullptr;
  struct OfClass {
    const char* key = nullptr;  // in per_class[] of JSON; null: classes do not have this metric
    const char* title = "";
    const char* short_title = "";  // up to 7 characters
    std::optional<double> (*value)(const ScoreInput& input, int64_t c) = nullptr;
  } of_class = {};
  unsigned shown = 0;
  int crf_rank = 0;         // place in the tables of scores before and after a CRF; 0: not in them
  const char* remark = "";  // after the value in the terminal
};

// The first row is the main score: the one that decides which weights and which images are the best.
std::span<const SemanticMetric> semantic_metrics();
bool is_main(const SemanticMetric& metric);

// Error(internal) for a key that is not in the table.
const SemanticMetric& semantic_metric(std::string_view key);

// The rows with this flag.
std::vector<const SemanticMetric*> semantic_metrics_in(Shown place);

// The rows with a crf_rank, in its order, `most` at most.
std::vector<const SemanticMetric*> crf_metrics(size_t most);

// False if the metric needs more than the confusion matrix, and that was not computed.
bool was_computed(const SemanticMetric& metric, const SemanticScores& scores);

// Computes all metrics of scores.per_class and of `scores`, whose counts are already filled in.
void fill_metrics(const ConfusionMatrix& confusion, const BoundaryMean* boundary, SemanticScores& scores);

}  // namespace atrous::eval
