// Average precision by the rules of the PASCAL VOC challenges, for boxes.
//
// Over all images, detections of a class in falling order of score (ties in the order in which they were
// added) are each matched to the object of their class with the highest IoU in the image, of ties the first.
// From IoU 0.5 on the object is found, unless an earlier detection has found it: then this one is a false
// positive, even if another object is free. Detections of a `difficult` object are ignored, and so is the
// object. A class without objects that count has no AP.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/names.h"

namespace atrous::eval {

// Corners in whole pixels that both belong to the box: sides are x2 - x1 + 1 and y2 - y1 + 1.
struct VocBox {
  double x1 = 0, y1 = 0, x2 = 0, y2 = 0;
};

struct VocObject {
  int64_t category = 0;  // index of the class
  VocBox box;
  bool difficult = false;
};

struct VocDetection {
  int64_t category = 0;
  double score = 0;
  VocBox box;
};

enum class VocRule {
  eleven_points,  // to 2009: the mean over the recalls 0, 0.1 ... 1 of the best precision at that recall or a
                  // higher one
  all_points,     // from 2010: the area under precision made to fall with recall
};
constexpr auto names_of(VocRule) {
  return std::to_array<Named<VocRule>>({{VocRule::eleven_points, "11"}, {VocRule::all_points, "all"}});
}

struct VocClassScores {
  std::string name;
  int64_t objects = 0;  // without difficult ones
  int64_t detections = 0;
  std::optional<double> ap;
};

struct VocSummary {
  std::vector<VocClassScores> classes;
  std::optional<double> mean_ap;  // over the classes that have one
};

double voc_iou(const VocBox& a, const VocBox& b);

class VocScores {
 public:
  explicit VocScores(std::vector<std::string> class_names);
  // All of one image. Error(data) for a category out of range or a score that is not finite.
  void add(std::span<const VocObject> objects, std::span<const VocDetection> detections);
  VocSummary summary(VocRule rule, double min_iou = 0.5) const;

 private:
  // A detection and the object to which it is matched.
  struct Ranked {
    double score, iou;
    int64_t object;  // index among the objects of its class; -1: there is none in its image
  };
  struct Class {
    std::string name;
    std::vector<uint8_t> difficult;  // by object
    std::vector<Ranked> detections;
  };
  std::vector<Class> classes_;
};

}  // namespace atrous::eval
