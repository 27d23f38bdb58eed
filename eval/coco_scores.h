// COCO's scores of a detector: average precision and recall of boxes or masks.
//
// The rules, and every bit of the numbers, are those of pycocotools (cocodataset/cocoapi, cocoeval.py). Per
// image and class, detections in falling order of score (the first 100; ties keep their order) each take the
// free object of highest IoU that reaches the threshold, of equals the last. Objects that are crowds or
// outside of the area range are ignored: they are taken only if no other one matches, crowds by any number
// of detections; a detection that takes such an object, or takes none and is itself out of range, is ignored.
// Over all images, precision is made to fall with recall and read at 101 recalls.
//
// What each kind of error costs is computed too (eval/detection_errors.h).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/names.h"
#include "data/coco_json.h"
#include "eval/detection_errors.h"

namespace atrous::eval {

enum class IouType { bbox, segm };
constexpr auto names_of(IouType) {
  return std::to_array<Named<IouType>>({{IouType::bbox, "bbox"}, {IouType::segm, "segm"}});
}

struct CocoObject {
  int64_t category = 0;  // index into the classes
  data::CocoBox box;
  const data::Rle* mask = nullptr;  // needed for IouType::segm; must live during the call
  double area = 0;                  // that of the annotation, which decides small, medium and large
  bool crowd = false;
  // As pycocotools treats an object of id 0, which it takes for "no object": a detection that matches it
  // counts as a false positive. It is no error by TIDE, whose scores do not depend on this.
  bool never_found = false;
};

struct CocoDetection {
  int64_t category = 0;
  double score = 0;
  data::CocoBox box;
  const data::Rle* mask = nullptr;
  double area = 0;  // of the box or mask
};

namespace coco {
inline constexpr int thresholds = 10;  // IoU 0.50, 0.55 ... 0.95
inline constexpr int recalls = 101;    // 0, 0.01 ... 1
inline constexpr int areas = 4;        // all, small (to 32 x 32), medium, large (from 96 x 96)
inline constexpr std::array<size_t, 3> detection_limits = {1, 10,
                                                           100};  // of an image and class, by falling score
inline constexpr int max_detections = static_cast<int>(detection_limits.back());
std::array<double, thresholds> iou_thresholds();
std::array<double, recalls> recall_points();
}  // namespace coco

// Printed instead of scores if there are no objects.
inline constexpr const char* no_scored_object =
    "nothing to score: the images have no annotated objects (crowds do not count)";

// -1 stands for an undefined score, as in pycocotools: scores of a class without objects (of that size).
// existing() of it is empty.
std::optional<double> existing(double score);
struct CocoClassScores {
  int64_t id = 0;
  std::string name;
  int64_t objects = 0;  // without crowds
  int64_t detections = 0;
  double ap = -1, ap50 = -1, ap75 = -1, ap_small = -1, ap_medium = -1, ap_large = -1;
  double ar = -1;  // with 100 detections per image
  // Precision at coco::recall_points(), at IoU 0.5, at 0.75, and the mean over all thresholds. Empty without
  // objects.
  std::vector<double> precision50, precision75, precision;
  std::array<DetectionErrorScore, detection_errors> errors;
};

struct CocoSummary {
  // By the rows of coco_metrics() (eval/coco_metrics.h), which is pycocotools' order.
  std::array<double, 12> stats;
  std::vector<CocoClassScores> classes;
  std::array<DetectionErrorScore, detection_errors> errors;  // gains: means over the classes with objects
  int64_t images = 0, objects = 0, detections = 0;
  double ap() const { return stats[0]; }
  double ap50() const { return stats[1]; }
};

struct CocoImageMatches {  // contribution of one image to the scores
  struct Detection {
    double score;
    // Bit t, for IoU threshold t: the detection has found an object; the detection is ignored. By area range.
    std::array<uint16_t, coco::areas> found, ignored;
    DetectionError error = DetectionError::none;
    bool mended = false;  // finds its object if errors of its kind are fixed
    int64_t target = 0;   // class of that object
    size_t index = 0;     // position among the image's detections
    int64_t object = -1;  // the object found at IoU 0.5 over all areas: position among the objects
  };
  struct Class {
    int64_t category;
    std::array<int64_t, coco::areas> objects{};  // that are not ignored
    int64_t missed = 0;
    std::vector<Detection> detections;  // by falling score
  };
  int64_t image_id = 0;
  std::vector<Class> classes;
};

// Images may be added in any order.
class CocoScores {
 public:
  CocoScores(IouType type, std::vector<data::CocoCategory> classes);

  // Changes nothing: images may be matched in parallel. Error(data) for a category out of range, a score that
  // is not finite, or a mask that is missing or of another size than the others.
  CocoImageMatches match(int64_t image_id, std::span<const CocoObject> objects,
                         std::span<const CocoDetection> detections) const;
  // Error(data) in summary() if an image is added twice.
  void add(CocoImageMatches matches) { images_.push_back(std::move(matches)); }
  void add(int64_t image_id, std::span<const CocoObject> objects, std::span<const CocoDetection> detections) {
    add(match(image_id, objects, detections));
  }
  CocoSummary summary() const;

 private:
  IouType type_;
  std::vector<data::CocoCategory> classes_;
  std::vector<CocoImageMatches> images_;
};

// Treatment of annotation id 0: as in pycocotools (CocoObject::never_found), or like any other id.
enum class IdZero { never_found, any_other };

// Scores of a results file. Error(data) if the type needs boxes or masks that the annotations lack.
CocoScores score_coco_results(const data::CocoAnnotations& annotations,
                              const std::vector<data::CocoResult>& results, IouType type,
                              IdZero id_zero = IdZero::never_found);

}  // namespace atrous::eval
