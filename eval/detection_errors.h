// The cost of a detector's errors, by the definitions of TIDE (Bolya et al., "TIDE: A General Toolbox for
// Identifying Object Detection Errors", ECCV 2020), at IoU 0.5 and over all areas. eval/coco_scores.h counts
// them.
#pragma once

#include <cstdint>
#include <optional>

namespace atrous::eval {

// The error of a detection that matched no object (the first that holds), or of an object that was not
// found. "Own" objects are those of the detection's class; crowds are left out.
enum class DetectionError : uint8_t {
  none,
  localisation,    // largest IoU with own objects is in [0.1, 0.5]
  classification,  // IoU with an object of another class >= 0.5
  duplicate,       // IoU with an own object >= 0.5, but another detection has taken it
  background,      // largest IoU with any object <= 0.1
  both,            // the rest: wrong class and wrong place
  missed,          // an object that no detection took and no localisation or classification error refers to
};
inline constexpr int detection_errors = 7;  // `none` included
const char* name_of(DetectionError error);
const char* meaning_of(DetectionError error);  // a short description

struct DetectionErrorScore {
  int64_t count = 0;
  // The rise of AP at IoU 0.5 if errors of this kind alone are fixed: localisation and classification errors
  // find the object to which they refer (only the one with the highest score, and none if it is taken; the
  // others are removed), missed objects do not count, all other errors are removed. A class without objects
  // left to find has AP 1.
  std::optional<double> ap_gain;  // empty without objects
};

}  // namespace atrous::eval
