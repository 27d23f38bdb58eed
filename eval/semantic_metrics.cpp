#include "eval/semantic_metrics.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "core/error.h"
#include "eval/boundary.h"

namespace atrous::eval {
namespace {

using Value = std::optional<double>;

// Share of a whole; undefined if the whole is 0.
Value ratio(int64_t part, int64_t whole) {
  if (whole == 0) return std::nullopt;
  return static_cast<double>(part) / static_cast<double>(whole);
}

const ClassScore& class_of(const ScoreInput& in, int64_t c) {
  return in.scores.per_class[static_cast<size_t>(c)];
}

int64_t hits(const ScoreInput& in, int64_t c) {
  return in.confusion.at(c, c);
}

// The mean over the classes for which the metric exists.
Value mean_over_classes(const ScoreInput& in, const char* class_key) {
  double sum = 0;
  int64_t classes = 0;
  for (const ClassScore& c : in.scores.per_class) {
    const Value v = c[class_key];
    sum += v.value_or(0);
    classes += v.has_value();
  }
  if (classes == 0) return std::nullopt;
  return sum / static_cast<double>(classes);
}

Value class_iou(const ScoreInput& in, int64_t c) {
  const ClassScore& row = class_of(in, c);
  if (row.excluded) return std::nullopt;
  return ratio(hits(in, c), row.ground_truth + row.predicted - hits(in, c));
}

Value class_dice(const ScoreInput& in, int64_t c) {
  const ClassScore& row = class_of(in, c);
  if (row.excluded) return std::nullopt;
  return ratio(2 * hits(in, c), row.ground_truth + row.predicted);
}

Value class_accuracy(const ScoreInput& in, int64_t c) {
  const ClassScore& row = class_of(in, c);
  if (row.excluded) return std::nullopt;
  return ratio(hits(in, c), row.ground_truth);
}

Value class_precision(const ScoreInput& in, int64_t c) {
  const ClassScore& row = class_of(in, c);
  if (row.excluded) return std::nullopt;
  return ratio(hits(in, c), row.predicted);
}

Value pixel_accuracy(const ScoreInput& in) {
  int64_t correct = 0;
  for (int64_t c = 0; c < in.confusion.num_classes(); ++c) correct += hits(in, c);
  return ratio(correct, in.scores.pixels);
}

Value fw_iou(const ScoreInput& in) {
  if (in.scores.pixels == 0) return std::nullopt;
  double sum = 0;
  for (const ClassScore& c : in.scores.per_class) {
    if (c["accuracy"]) sum += static_cast<double>(c.ground_truth) * *c["iou"];
  }
  return sum / static_cast<double>(in.scores.pixels);
}

// Products of counts, which need more than 64 bits.
__extension__ typedef __int128 Wide;

// Of the n pixels: those with the right class and, by class, those labelled t_k and those predicted p_k.
struct Agreement {
  Wide n = 0, correct = 0, label_prediction = 0;  // the last: sum over k of t_k p_k

  explicit Agreement(const ScoreInput& in) : n(in.scores.pixels) {
    for (int64_t c = 0; c < in.confusion.num_classes(); ++c) {
      correct += hits(in, c);
      label_prediction += Wide{class_of(in, c).ground_truth} * class_of(in, c).predicted;
    }
  }
};

// Cohen: "A coefficient of agreement for nominal scales", Educational and Psychological Measurement 20, 1960.
//
//   kappa = (p_o - p_e) / (1 - p_e) = (n c - sum_k t_k p_k) / (n^2 - sum_k t_k p_k)
//
// p_o = c / n: the pixel accuracy; p_e = sum_k t_k p_k / n^2: the accuracy to expect if label and prediction
// were independent. Undefined (0/0) if labels and predictions have one class, the same.
Value kappa(const ScoreInput& in) {
  const Agreement a(in);
  const Wide possible = a.n * a.n - a.label_prediction;
  if (possible == 0) return std::nullopt;
  return static_cast<double>(a.n * a.correct - a.label_prediction) / static_cast<double>(possible);
}

// Matthews correlation of K classes, R_K of Gorodkin: "Comparing two K-category assignments by a K-category
// correlation coefficient", Computational Biology and Chemistry 28, 2004.
//
//   R_K = cov(t, p) / sqrt(cov(t, t) cov(p, p)) = (n c - sum_k t_k p_k) / sqrt((n^2 - sum_k t_k^2) (n^2 -
//   sum_k p_k^2))
//
// Of two classes it is Matthews' phi. Undefined (0/0) if labels or predictions have one class only;
// scikit-learn gives 0 there.
Value matthews(const ScoreInput& in) {
  const Agreement a(in);
  Wide labels = a.n * a.n, predictions = a.n * a.n;
  for (const ClassScore& c : in.scores.per_class) {
    labels -= Wide{c.ground_truth} * c.ground_truth;
    predictions -= Wide{c.predicted} * c.predicted;
  }
  if (labels == 0 || predictions == 0) return std::nullopt;
  return static_cast<double>(a.n * a.correct - a.label_prediction) /
         std::sqrt(static_cast<double>(labels) * static_cast<double>(predictions));
}

Value boundary_mean(const ScoreInput& in) {
  return in.boundary ? in.boundary->mean() : std::nullopt;
}

Value class_boundary_mean(const ScoreInput& in, int64_t c) {
  return in.boundary ? in.boundary->class_mean(c) : std::nullopt;
}

static_assert(boundary_tolerance == 0.0075);  // as the texts below say

constexpr SemanticMetric rows[] = {
    {.key = "miou",
     .title = "mIoU",
     .definition = "mean over classes of TP / (TP + FP + FN), from one confusion matrix over the set",
     .value = [](const ScoreInput& in) { return mean_over_classes(in, "iou"); },
     .of_class = {"iou", "IoU", "IoU", class_iou},
     .shown = shown_card | shown_training_card | shown_curve | shown_per_image | shown_definition,
     .crf_rank = 1},
    {.key = "pixel_accuracy",
     .title = "pixel accuracy",
     .definition = "share of the scored pixels that have the class of their label",
     .value = pixel_accuracy,
     .shown = shown_card | shown_training_card | shown_curve | shown_per_image,
     .crf_rank = 3},
    {.key = "mean_accuracy",
     .title = "mean accuracy",
     .definition = "mean over the labelled classes of the recall TP / (TP + FN)",
     .value = [](const ScoreInput& in) { return mean_over_classes(in, "accuracy"); },
     .of_class = {"accuracy", "Recall", "recall", class_accuracy},
     .shown = shown_card,
     .crf_rank = 4},
    {.key = "precision",
     .title = "precision",
     .definition = "TP / (TP + FP) of a class",
     .of_class = {"precision", "Precision", "precis.", class_precision}},
    {.key = "fw_iou",
     .title = "fw IoU",
     .definition = "frequency-weighted IoU: mean of the IoU of classes, weighted by their labelled pixels",
     .value = fw_iou},
    {.key = "mean_dice",
     .title = "mean Dice",
     .definition = "mean over classes of 2 TP / (2 TP + FP + FN)",
     .value = [](const ScoreInput& in) { return mean_over_classes(in, "dice"); },
     .of_class = {"dice", "Dice", "Dice", class_dice},
     .shown = shown_card | shown_training_card,
     .crf_rank = 5},
    {.key = "kappa",
     .title = "Cohen's kappa",
     .definition =
         "(p_o - p_e) / (1 - p_e): p_o is the pixel accuracy, p_e the one to expect if predictions were "
         "independent of labels (Cohen 1960)",
     .value = kappa,
     .shown = shown_card | shown_definition},
    {.key = "mcc",
     .title = "MCC",
     .definition = "Matthews correlation of K classes, the correlation coefficient of labels and predictions "
                   "(R_K of Gorodkin 2004)",
     .value = matthews,
     .shown = shown_card | shown_definition},
    {.key = "boundary_f1",
     .title = "boundary F1",
     .definition = "Csurka 2013, within 0.75 % of an image's diagonal; mean over the classes of an image, "
                   "then over images; of a class: mean over the images that hold it",
     .source = MetricSource::boundary,
     .value = boundary_mean,
     .of_class = {"boundary_f1", "Boundary F1", "bnd. F1", class_boundary_mean},
     .shown = shown_card | shown_per_image | shown_definition,
     .crf_rank = 2,
     .remark = "(Csurka 2013, within 0.75 % of the diagonal)"},
};

}  // namespace

std::span<const SemanticMetric> semantic_metrics() {
  return rows;
}

bool is_main(const SemanticMetric& metric) {
  return &metric == &rows[0];
}

const SemanticMetric& semantic_metric(std::string_view key) {
  return rows[row_of(MetricOf::set, key)];
}

std::vector<const SemanticMetric*> semantic_metrics_in(Shown place) {
  std::vector<const SemanticMetric*> found;
  for (const SemanticMetric& m : rows) {
    if (m.shown & place) found.push_back(&m);
  }
  return found;
}

std::vector<const SemanticMetric*> crf_metrics(size_t most) {
  std::vector<const SemanticMetric*> found;
  for (const SemanticMetric& m : rows) {
    if (m.crf_rank > 0) found.push_back(&m);
  }
  std::ranges::sort(found, {}, &SemanticMetric::crf_rank);
  found.resize(std::min(found.size(), most));
  return found;
}

bool was_computed(const SemanticMetric& metric, const SemanticScores& scores) {
  return metric.source == MetricSource::confusion || scores[metric.key].has_value();
}

void fill_metrics(const ConfusionMatrix& confusion, const BoundaryMean* boundary, SemanticScores& scores) {
  const ScoreInput input{confusion, scores, boundary};
  for (const SemanticMetric& m : rows) {
    if (!m.of_class.key) continue;
    for (size_t c = 0; c < scores.per_class.size(); ++c)
      scores.per_class[c][m.of_class.key] = m.of_class.value(input, static_cast<int64_t>(c));
  }
  for (const SemanticMetric& m : rows) {
    if (m.value) scores[m.key] = m.value(input);
  }
}

size_t row_of(MetricOf level, std::string_view key) {
  for (size_t i = 0; i < std::size(rows); ++i) {
    const char* own = level == MetricOf::set ? rows[i].key : rows[i].of_class.key;
    if (own && key == own) return i;
  }
  fail(ErrorKind::internal, "[metrics] a key must be one of the table's. Got \"{}\".", key);
}

size_t metric_rows() {
  return std::size(rows);
}

}  // namespace atrous::eval
