// Which detection finds which object of one image (eval/coco_scores.h).
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/error.h"
#include "eval/coco_scores.h"

namespace atrous::eval {
namespace {

using Indices = std::vector<size_t>;

struct AreaRange {
  double low, high;
  bool outside(double area) const { return area < low || area > high; }
};
constexpr std::array<AreaRange, coco::areas> area_ranges = {
    {{0, 1e10}, {0, 32 * 32}, {32 * 32, 96 * 96}, {96 * 96, 1e10}}};

// Bounds of the error types.
constexpr double right_place = 0.5, some_overlap = 0.1;

class ImageMatcher {
 public:
  ImageMatcher(IouType type, int64_t image_id, std::span<const CocoObject> objects,
               std::span<const CocoDetection> detections)
      : type_(type),
        objects_(objects),
        detections_(detections),
        taken_(objects.size()),
        pointed_at_(objects.size()) {
    out_.image_id = image_id;
  }

  void check(int64_t classes) const;
  CocoImageMatches run(int64_t classes);

 private:
  // A class of the image: its objects in the order given, its detections by falling score.
  struct Members {
    Indices objects, detections;
  };
  // A detection by its position in out_, with an error that refers to an object.
  struct Pointer {
    size_t object, detection;
    CocoImageMatches::Detection* place;
  };

  double iou(size_t d, size_t o) const {
    const bool crowd = objects_[o].crowd;
    return type_ == IouType::bbox ? data::box_iou(detections_[d].box, objects_[o].box, crowd)
                                  : data::rle_iou(detection_masks_[d], object_masks_[o], crowd);
  }
  // Detections that are not part of the task: the error analysis leaves them out.
  bool left_out(size_t o) const { return objects_[o].crowd || area_ranges[0].outside(objects_[o].area); }

  void match(const Members& members, CocoImageMatches::Class& out);
  void match_area(const Members& members, const std::vector<double>& ious, int area,
                  CocoImageMatches::Class& out);
  void name_errors(const Members& members, const std::vector<double>& ious, CocoImageMatches::Class& out);
  void mend(const std::vector<Pointer>& pointers);

  IouType type_;
  std::span<const CocoObject> objects_;
  std::span<const CocoDetection> detections_;
  std::vector<data::MeasuredMask> object_masks_, detection_masks_;
  std::vector<uint8_t> taken_, pointed_at_;  // by object, at IoU 0.5 over all areas
  std::vector<Pointer> localisation_, classification_;
  CocoImageMatches out_;
};

void ImageMatcher::check(int64_t classes) const {
  const auto where = [&](const char* what, size_t i) {
    return fmt::format("image {}, {} {}", out_.image_id, what, i);
  };
  const auto check_one = [&](const auto& one, const char* what, size_t i) {
    ATROUS_CHECK(one.category >= 0 && one.category < classes, ErrorKind::data,
                 "[{}] the class must be one of the {}. Got {}.", where(what, i), classes, one.category);
    ATROUS_CHECK(
        type_ == IouType::bbox || one.mask, ErrorKind::data,
        "[{}] masks can only be scored where each object and detection has one. It has none. Score boxes.",
        where(what, i));
  };
  for (size_t i = 0; i < objects_.size(); ++i) check_one(objects_[i], "object", i);
  for (size_t i = 0; i < detections_.size(); ++i) {
    check_one(detections_[i], "detection", i);
    ATROUS_CHECK(std::isfinite(detections_[i].score), ErrorKind::data, "[{}] scores must be finite. Got {}.",
                 where("detection", i), detections_[i].score);
  }
}

CocoImageMatches ImageMatcher::run(int64_t classes) {
  std::vector<Members> members(static_cast<size_t>(classes));
  for (size_t o = 0; o < objects_.size(); ++o)
    members[static_cast<size_t>(objects_[o].category)].objects.push_back(o);
  for (size_t d = 0; d < detections_.size(); ++d)
    members[static_cast<size_t>(detections_[d].category)].detections.push_back(d);
  if (type_ == IouType::segm) {
    for (const CocoObject& o : objects_) object_masks_.emplace_back(*o.mask);
    for (const CocoDetection& d : detections_) detection_masks_.emplace_back(*d.mask);
  }
  // Elements of out_.classes must not move while errors point at them.
  out_.classes.reserve(members.size());
  for (size_t c = 0; c < members.size(); ++c) {
    Members& m = members[c];
    if (m.objects.empty() && m.detections.empty()) continue;
    std::stable_sort(m.detections.begin(), m.detections.end(),
                     [&](size_t a, size_t b) { return detections_[a].score > detections_[b].score; });
    m.detections.resize(std::min<size_t>(m.detections.size(), coco::max_detections));
    CocoImageMatches::Class& out = out_.classes.emplace_back();
    out.category = static_cast<int64_t>(c);
    match(m, out);
  }
  mend(localisation_);
  mend(classification_);
  for (CocoImageMatches::Class& c : out_.classes) {
    for (size_t o : members[static_cast<size_t>(c.category)].objects)
      c.missed += !left_out(o) && !taken_[o] && !pointed_at_[o];
  }
  return std::move(out_);
}

void ImageMatcher::match(const Members& m, CocoImageMatches::Class& out) {
  std::vector<double> ious(m.detections.size() * m.objects.size());
  for (size_t d = 0; d < m.detections.size(); ++d) {
    out.detections.push_back(
        {.score = detections_[m.detections[d]].score, .found = {}, .ignored = {}, .index = m.detections[d]});
    for (size_t o = 0; o < m.objects.size(); ++o)
      ious[d * m.objects.size() + o] = iou(m.detections[d], m.objects[o]);
  }
  for (int area = 0; area < coco::areas; ++area) match_area(m, ious, area, out);
  name_errors(m, ious, out);
}

void ImageMatcher::match_area(const Members& m, const std::vector<double>& ious, int area,
                              CocoImageMatches::Class& out) {
  static const std::array<double, coco::thresholds> thresholds = coco::iou_thresholds();
  const auto a = static_cast<size_t>(area);
  const size_t n = m.objects.size();
  // Objects that count come first, otherwise in the order given: it decides between equal IoUs.
  std::vector<uint8_t> ignored(n);
  Indices order(n);
  std::iota(order.begin(), order.end(), size_t{0});
  for (size_t o = 0; o < n; ++o) {
    const CocoObject& object = objects_[m.objects[o]];
    ignored[o] = object.crowd || area_ranges[a].outside(object.area);
    out.objects[a] += !ignored[o];
  }
  std::stable_partition(order.begin(), order.end(), [&](size_t o) { return !ignored[o]; });
  std::vector<uint8_t> taken(n);
  for (size_t t = 0; t < thresholds.size(); ++t) {
    std::fill(taken.begin(), taken.end(), uint8_t{0});
    for (size_t d = 0; d < m.detections.size(); ++d) {
      double best_iou = std::min(thresholds[t], 1 - 1e-10);
      size_t best = n;
      for (size_t o : order) {
        if (taken[o] && !objects_[m.objects[o]].crowd) continue;
        if (best < n && !ignored[best] && ignored[o]) break;
        if (ious[d * n + o] < best_iou) continue;
        best_iou = ious[d * n + o];
        best = o;
      }
      if (best < n) taken[best] = 1;
      const bool found = best < n && !objects_[m.objects[best]].never_found;
      const bool ignore = (best < n && ignored[best]) ||
                          (!found && area_ranges[a].outside(detections_[m.detections[d]].area));
      out.detections[d].found[a] |= static_cast<uint16_t>(found << t);
      out.detections[d].ignored[a] |= static_cast<uint16_t>(ignore << t);
      if (area == 0 && t == 0 && best < n) out.detections[d].object = static_cast<int64_t>(m.objects[best]);
    }
    if (area == 0 && t == 0) {
      for (size_t o = 0; o < n; ++o) taken_[m.objects[o]] = taken[o];
    }
  }
}

void ImageMatcher::name_errors(const Members& m, const std::vector<double>& ious,
                               CocoImageMatches::Class& out) {
  struct Nearest {
    double iou = 0;
    size_t object = 0;
    void see(double value, size_t o) {
      if (value > iou) *this = {value, o};
    }
  };
  for (size_t d = 0; d < m.detections.size(); ++d) {
    CocoImageMatches::Detection& place = out.detections[d];
    if (place.object >= 0 || (place.ignored[0] & 1)) continue;
    Nearest own, own_taken, other;
    for (size_t i = 0; i < m.objects.size(); ++i) {
      const size_t o = m.objects[i];
      if (left_out(o)) continue;
      own.see(ious[d * m.objects.size() + i], o);
      if (taken_[o]) own_taken.see(ious[d * m.objects.size() + i], o);
    }
    const bool misplaced = own.iou >= some_overlap && own.iou <= right_place;
    for (size_t o = 0; !misplaced && o < objects_.size(); ++o) {
      if (objects_[o].category != out.category && !left_out(o)) other.see(iou(m.detections[d], o), o);
    }
    if (misplaced) {
      place.error = DetectionError::localisation;
      localisation_.push_back({own.object, m.detections[d], &place});
    } else if (other.iou >= right_place) {
      place.error = DetectionError::classification;
      classification_.push_back({other.object, m.detections[d], &place});
    } else if (own_taken.iou >= right_place) {
      place.error = DetectionError::duplicate;
    } else {
      place.error =
          std::max(own.iou, other.iou) <= some_overlap ? DetectionError::background : DetectionError::both;
    }
  }
}

// Of the detections that refer to a free object, the one with the highest score would find it.
void ImageMatcher::mend(const std::vector<Pointer>& pointers) {
  std::vector<const Pointer*> best(objects_.size(), nullptr);
  const auto better = [&](const Pointer& a, const Pointer& b) {
    const double sa = detections_[a.detection].score, sb = detections_[b.detection].score;
    return sa > sb || (sa == sb && a.detection < b.detection);
  };
  for (const Pointer& p : pointers) {
    pointed_at_[p.object] = 1;
    p.place->target = objects_[p.object].category;
    if (!taken_[p.object] && (!best[p.object] || better(p, *best[p.object]))) best[p.object] = &p;
  }
  for (const Pointer* p : best) {
    if (p) p->place->mended = true;
  }
}

}  // namespace

CocoImageMatches CocoScores::match(int64_t image_id, std::span<const CocoObject> objects,
                                   std::span<const CocoDetection> detections) const {
  ImageMatcher matcher(type_, image_id, objects, detections);
  matcher.check(static_cast<int64_t>(classes_.size()));
  return matcher.run(static_cast<int64_t>(classes_.size()));
}

}  // namespace atrous::eval
