// Scores of classification, and the table of their metrics, one row each. JSON, terminal tables, HTML
// reports, `expected` of configs, the best checkpoint and docs/metrics.md iterate over it.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "eval/metric.h"
#include "eval/metrics.h"

namespace atrous::eval {

// Classes by falling probability; of equal ones the lower index is first, as argmax has it.
std::vector<int64_t> top_classes(std::span<const double> probabilities, int64_t count);
// The place of a class in that order, from 0.
int64_t rank_of(std::span<const double> probabilities, int64_t label);

struct ClassificationScores {
  struct OfClass {
    std::string name;
    int64_t images = 0;     // labelled as it
    int64_t predicted = 0;  // predicted as it
    int64_t top1 = 0;       // of `images`: its place is the first
    int64_t top5 = 0;       // among the first five
    // Empty without images.
    std::optional<double> accuracy() const;
    std::optional<double> top5_share() const;
  };
  std::vector<OfClass> classes;
  std::map<std::pair<int64_t, int64_t>, int64_t> confusion;  // images by (label, prediction)
  int64_t images = 0;
  double loss_sum = 0;  // cross-entropy, natural log

  explicit ClassificationScores(const std::vector<std::string>& names = {});
  void add(int64_t label, std::span<const double> probabilities);
  std::optional<double> operator[](std::string_view key) const;  // a metric; Error(internal) for others
  std::optional<double> loss() const;
  std::vector<std::string> names() const;
};

// Tables of classes by classes are written up to this many.
inline constexpr size_t most_confusion_classes = 1000;
// Error(internal) beyond.
ConfusionMatrix confusion_matrix(const ClassificationScores& scores);

struct ClassificationMetric {
  const char* key = "";
  const char* title = "";
  const char* definition = "";
  Better better = Better::higher;
  std::optional<double> (*value)(const ClassificationScores& scores) = nullptr;
  const char* color = "";  // of its curve, CSS
};

// The first row is the main score: the one that decides which weights are the best.
std::span<const ClassificationMetric> classification_metrics();

}  // namespace atrous::eval
