// Scores of semantic segmentation, all from one confusion matrix over the whole set.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/tensor.h"

namespace atrous::eval {

class BoundaryMean;

enum class MetricOf { set, one_class };

// Row of the table of metrics (eval/semantic_metrics.h) with this key, and the number of rows.
// Error(internal) for a key that is not in it.
size_t row_of(MetricOf level, std::string_view key);
size_t metric_rows();

// The metrics of a set, an image or a class, by key: scores["miou"]. Empty for what is undefined or was not
// computed.
template <MetricOf level>
class MetricValues {
 public:
  std::optional<double>& operator[](std::string_view key) { return values_[row_of(level, key)]; }
  const std::optional<double>& operator[](std::string_view key) const { return values_[row_of(level, key)]; }

 private:
  std::vector<std::optional<double>> values_ = std::vector<std::optional<double>>(metric_rows());
};

// All metrics are empty for an excluded class, and the IoU for one that is absent from both labels and
// predictions.
struct ClassScore : MetricValues<MetricOf::one_class> {
  std::string name;
  int64_t ground_truth = 0;  // pixels
  int64_t predicted = 0;
  // Cannot occur in the labels, because its value is ignored: it has no scores and is in no mean.
  bool excluded = false;
};

// All metrics are empty if no pixel is scored. Means leave out excluded classes.
struct SemanticScores : MetricValues<MetricOf::set> {
  int64_t classes_in_mean = 0;   // of the IoU: present in labels or predictions
  int64_t absent_classes = 0;    // could be labelled, and are in neither labels nor predictions
  int64_t excluded_classes = 0;  // ClassScore::excluded
  int64_t pixels = 0;            // scored
  int64_t ignored_pixels = 0;
  std::vector<ClassScore> per_class;
};

// Printed instead of scores where no pixel is scored.
inline constexpr const char* no_scored_pixel = "nothing to score: all pixels of the labels are ignored";

// The classes of a score.
struct ScoredClasses {
  std::vector<std::string> names = {};  // class0, class1, ... beyond its end
  std::vector<bool> excluded = {};      // ClassScore::excluded; false beyond its end

  bool is_excluded(int64_t c) const {
    return c < static_cast<int64_t>(excluded.size()) && excluded[static_cast<size_t>(c)];
  }
};

// h[gt, pred], int64. Pixels whose label is `ignore` are not counted. A label or prediction outside [0, K) is
// an Error(data).
class ConfusionMatrix {
 public:
  explicit ConfusionMatrix(int64_t num_classes);
  int64_t num_classes() const { return num_classes_; }
  // label, prediction: u8 or i32 of equal shape; counted on the device on which they lie.
  void add(const Tensor& label, const Tensor& prediction, int64_t ignore);
  void add(const ConfusionMatrix& other);
  void add_pixels(int64_t gt, int64_t predicted, int64_t pixels) {
    counts_[static_cast<size_t>(gt * num_classes_ + predicted)] += pixels;
  }
  int64_t at(int64_t gt, int64_t predicted) const {
    return counts_[static_cast<size_t>(gt * num_classes_ + predicted)];
  }
  int64_t ignored() const { return ignored_; }
  // A pixel that is predicted as an excluded class is wrong for the class that it is labelled as. `boundary`:
  // of the same images, for the boundary metrics; null: they are not computed.
  SemanticScores scores(const ScoredClasses& classes, const BoundaryMean* boundary = nullptr) const;

 private:
  int64_t num_classes_;
  int64_t ignored_ = 0;
  std::vector<int64_t> counts_;
};

}  // namespace atrous::eval
