// The fields that the tables of metrics (semantic_metrics.h, coco_metrics.h) share, and their use.
#pragma once

namespace atrous::eval {

// What a network predicts, which decides how it is scored.
enum class TaskKind {
  semantic,        // the class of every pixel
  detection,       // objects
  classification,  // the class of the image
};

enum class Better { higher, lower };

// True if `now` is the better score; false for equal ones.
inline bool is_better(Better better, double now, double before) {
  return better == Better::higher ? now > before : now < before;
}

// The worst score that still meets a target: the tolerance counts on the worse side only.
inline double worst_accepted(Better better, double target, double tolerance) {
  return better == Better::higher ? target - tolerance : target + tolerance;
}

// False for a score that is not a number.
inline bool meets(Better better, double score, double target, double tolerance) {
  const double worst = worst_accepted(better, target, tolerance);
  return better == Better::higher ? score >= worst : score <= worst;
}

}  // namespace atrous::eval
