#include "eval/voc_ap.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"

namespace atrous::eval {
namespace {

double side(double first, double last) {
  return last - first + 1;
}

struct Curve {
  std::vector<double> recall, precision;
};

double eleven_points(const Curve& c) {
  double sum = 0;
  for (int r = 0; r <= 10; ++r) {
    double best = 0;
    for (size_t i = 0; i < c.recall.size(); ++i) {
      if (c.recall[i] >= r / 10.0) best = std::max(best, c.precision[i]);
    }
    sum += best / 11;
  }
  return sum;
}

double all_points(const Curve& c) {
  double area = 0, best = 0;
  for (size_t i = c.recall.size(); i-- > 0;) {
    best = std::max(best, c.precision[i]);
    area += (c.recall[i] - (i > 0 ? c.recall[i - 1] : 0)) * best;
  }
  return area;
}

}  // namespace

double voc_iou(const VocBox& a, const VocBox& b) {
  const double width = side(std::max(a.x1, b.x1), std::min(a.x2, b.x2));
  const double height = side(std::max(a.y1, b.y1), std::min(a.y2, b.y2));
  if (width <= 0 || height <= 0) return 0;
  const double shared = width * height;
  return shared / (side(a.x1, a.x2) * side(a.y1, a.y2) + side(b.x1, b.x2) * side(b.y1, b.y2) - shared);
}

VocScores::VocScores(std::vector<std::string> class_names) {
  for (std::string& name : class_names) classes_.push_back({std::move(name), {}, {}});
}

void VocScores::add(std::span<const VocObject> objects, std::span<const VocDetection> detections) {
  const auto check = [&](int64_t category) {
    ATROUS_CHECK(category >= 0 && category < static_cast<int64_t>(classes_.size()), ErrorKind::data,
                 "[voc ap] the class must be one of the {}. Got {}.", classes_.size(), category);
    return static_cast<size_t>(category);
  };
  std::vector<int64_t> numbers;  // of the objects, in their classes
  for (const VocObject& o : objects) {
    Class& c = classes_[check(o.category)];
    numbers.push_back(static_cast<int64_t>(c.difficult.size()));
    c.difficult.push_back(o.difficult);
  }
  for (const VocDetection& d : detections) {
    ATROUS_CHECK(std::isfinite(d.score), ErrorKind::data, "[voc ap] scores must be finite. Got {}.", d.score);
    Ranked ranked{d.score, 0, -1};
    for (size_t o = 0; o < objects.size(); ++o) {
      if (objects[o].category != d.category) continue;
      const double iou = voc_iou(d.box, objects[o].box);
      if (iou > ranked.iou) ranked = {d.score, iou, numbers[o]};
    }
    classes_[check(d.category)].detections.push_back(ranked);
  }
}

VocSummary VocScores::summary(VocRule rule, double min_iou) const {
  VocSummary all;
  double sum = 0;
  int64_t scored = 0;
  for (const Class& c : classes_) {
    VocClassScores& s = all.classes.emplace_back();
    s.name = c.name;
    s.objects = std::count(c.difficult.begin(), c.difficult.end(), uint8_t{0});
    s.detections = static_cast<int64_t>(c.detections.size());
    if (s.objects == 0) continue;
    std::vector<Ranked> order = c.detections;
    std::stable_sort(order.begin(), order.end(),
                     [](const Ranked& a, const Ranked& b) { return a.score > b.score; });
    std::vector<uint8_t> taken(c.difficult.size());
    Curve curve;
    double hits = 0, misses = 0;
    for (const Ranked& d : order) {
      const bool found = d.object >= 0 && d.iou >= min_iou;
      const auto o = static_cast<size_t>(std::max<int64_t>(0, d.object));
      if (found && c.difficult[o]) continue;
      const bool first = found && !taken[o];
      if (first) taken[o] = 1;
      (first ? hits : misses) += 1;
      curve.recall.push_back(hits / static_cast<double>(s.objects));
      curve.precision.push_back(hits / (hits + misses));
    }
    s.ap = rule == VocRule::eleven_points ? eleven_points(curve) : all_points(curve);
    sum += *s.ap;
    ++scored;
  }
  if (scored > 0) all.mean_ap = sum / static_cast<double>(scored);
  return all;
}

}  // namespace atrous::eval
