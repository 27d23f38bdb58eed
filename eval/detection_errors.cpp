#include "eval/detection_errors.h"

#include <cstddef>

namespace atrous::eval {

const char* meaning_of(DetectionError error) {
  switch (error) {
    case DetectionError::localisation: return "right class, IoU with the object between 0.1 and 0.5";
    case DetectionError::classification: return "IoU of at least 0.5 with an object of another class";
    case DetectionError::duplicate: return "the object was found already";
    case DetectionError::background: return "IoU of at most 0.1 with any object";
    case DetectionError::both: return "neither class nor place is right";
    case DetectionError::missed: return "objects that nothing found or points at";
    case DetectionError::none: break;
  }
  return "";
}

const char* name_of(DetectionError error) {
  static constexpr const char* names[] = {"none",       "localisation", "classification", "duplicate",
                                          "background", "both",         "missed"};
  return names[static_cast<size_t>(error)];
}

}  // namespace atrous::eval
