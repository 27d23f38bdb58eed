#include "eval/classification_metrics.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/error.h"

namespace atrous::eval {
namespace {

std::optional<double> share(int64_t part, int64_t whole) {
  if (whole == 0) return std::nullopt;
  return static_cast<double>(part) / static_cast<double>(whole);
}

std::optional<double> total(const ClassificationScores& s, int64_t ClassificationScores::OfClass::*part) {
  int64_t sum = 0;
  for (const auto& c : s.classes) sum += c.*part;
  return share(sum, s.images);
}

std::optional<double> mean_class_accuracy(const ClassificationScores& s) {
  double sum = 0;
  int64_t classes = 0;
  for (const auto& c : s.classes) {
    sum += c.accuracy().value_or(0);
    classes += c.images > 0;
  }
  if (classes == 0) return std::nullopt;
  return sum / static_cast<double>(classes);
}

constexpr ClassificationMetric rows[] = {
    {.key = "top1",
     .title = "top-1",
     .definition = "share of the images whose class has the highest probability",
     .value = [](const ClassificationScores& s) { return total(s, &ClassificationScores::OfClass::top1); },
     .color = "#1f9d74"},
    {.key = "top5",
     .title = "top-5",
     .definition = "share of the images whose class is among the five of highest probability",
     .value = [](const ClassificationScores& s) { return total(s, &ClassificationScores::OfClass::top5); },
     .color = "#8a6fd1"},
    {.key = "mean_class_accuracy",
     .title = "mean per class",
     .definition = "mean over the classes with images of the share of their images that top-1 counts",
     .value = mean_class_accuracy,
     .color = "#3f7fd0"},
};

}  // namespace

std::vector<int64_t> top_classes(std::span<const double> p, int64_t count) {
  std::vector<int64_t> order(p.size());
  std::iota(order.begin(), order.end(), 0);
  const auto first = [&](int64_t a, int64_t b) {
    const double x = p[static_cast<size_t>(a)], y = p[static_cast<size_t>(b)];
    return x != y ? x > y : a < b;
  };
  const auto kept = std::min<int64_t>(count, std::ssize(order));
  std::partial_sort(order.begin(), order.begin() + kept, order.end(), first);
  order.resize(static_cast<size_t>(kept));
  return order;
}

int64_t rank_of(std::span<const double> p, int64_t label) {
  const double own = p[static_cast<size_t>(label)];
  int64_t before = 0;
  for (int64_t k = 0; k < std::ssize(p); ++k) {
    const double other = p[static_cast<size_t>(k)];
    before += other > own || (other == own && k < label);
  }
  return before;
}

std::optional<double> ClassificationScores::OfClass::accuracy() const {
  return share(top1, images);
}

std::optional<double> ClassificationScores::OfClass::top5_share() const {
  return share(top5, images);
}

ClassificationScores::ClassificationScores(const std::vector<std::string>& names) {
  for (const std::string& name : names) classes.push_back({.name = name});
}

void ClassificationScores::add(int64_t label, std::span<const double> probabilities) {
  ATROUS_ASSERT(label >= 0 && label < std::ssize(classes) && probabilities.size() == classes.size());
  const int64_t predicted = top_classes(probabilities, 1).front(), rank = rank_of(probabilities, label);
  OfClass& row = classes[static_cast<size_t>(label)];
  ++row.images;
  row.top1 += rank == 0;
  row.top5 += rank < 5;
  ++classes[static_cast<size_t>(predicted)].predicted;
  ++confusion[{label, predicted}];
  ++images;
  // Probabilities below f32's smallest normal number count as that: 87.3 nats.
  loss_sum -= std::log(std::max(probabilities[static_cast<size_t>(label)], 1.17549435e-38));
}

std::optional<double> ClassificationScores::operator[](std::string_view key) const {
  for (const ClassificationMetric& m : rows) {
    if (key == m.key) return m.value(*this);
  }
  fail(ErrorKind::internal, "[metrics] a key must be one of the table's. Got \"{}\".", key);
}

std::optional<double> ClassificationScores::loss() const {
  if (images == 0) return std::nullopt;
  return loss_sum / static_cast<double>(images);
}

std::vector<std::string> ClassificationScores::names() const {
  std::vector<std::string> names;
  for (const OfClass& c : classes) names.push_back(c.name);
  return names;
}

ConfusionMatrix confusion_matrix(const ClassificationScores& scores) {
  ATROUS_ASSERT(scores.classes.size() <= most_confusion_classes);
  ConfusionMatrix matrix(std::ssize(scores.classes));
  for (const auto& [pair, images] : scores.confusion) matrix.add_pixels(pair.first, pair.second, images);
  return matrix;
}

std::span<const ClassificationMetric> classification_metrics() {
  return rows;
}

}  // namespace atrous::eval
