// Scores of semantic segmentation, all from one confusion matrix over the whole set.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/tensor.h"

namespace atrous::eval {

struct ClassScore {
  std::string name;
  int64_t ground_truth = 0;  // pixels
  int64_t predicted = 0;
  // Cannot occur in the labels, because its value is ignored: it has no scores and is in no mean.
  bool excluded = false;
  std::optional<double> iou;       // empty: excluded, or absent from both labels and predictions
  std::optional<double> accuracy;  // recall; empty without ground truth
  std::optional<double> precision;
  std::optional<double> dice;
  std::optional<double> boundary_f1;  // if it was computed (eval/boundary.h)
};

struct SemanticScores {
  // Mean over the classes that are present in labels or predictions. All means leave out excluded classes,
  // and are empty if no pixel is scored.
  std::optional<double> miou;
  std::optional<double> pixel_accuracy;
  std::optional<double> mean_accuracy;
  std::optional<double> fw_iou;
  std::optional<double> mean_dice;
  std::optional<double> boundary_f1;  // if it was computed (eval/boundary.h)
  int64_t classes_in_mean = 0;
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

// h[gt, pred], int64. Pixels whose label is `ignore` count nowhere. A label or prediction outside [0, K) is
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
  // A pixel that is predicted as an excluded class is wrong for the class that it is labelled as.
  SemanticScores scores(const ScoredClasses& classes) const;

 private:
  int64_t num_classes_;
  int64_t ignored_ = 0;
  std::vector<int64_t> counts_;
};

}  // namespace atrous::eval
