// Pictures of an image's detections beside its annotations.
#pragma once

#include <span>
#include <vector>

#include "data/instances.h"
#include "eval/coco_scores.h"
#include "layers/detection_model.h"

namespace atrous::eval {

// Which object of an image each detection found, and what is wrong with the others, at IoU 0.5.
struct InstanceVerdict {
  std::vector<int64_t> object;         // of each detection: the object it found, or -1
  std::vector<DetectionError> errors;  // of each detection
  std::vector<uint8_t> found;          // of each object; crowds count as found
  int64_t wrong() const;               // detections with errors
  int64_t not_found() const;           // objects
  int64_t all() const { return wrong() + not_found(); }
};

// From matches of the detections `matched`, out of `detections`, with the objects of an image.
InstanceVerdict verdict_of(const CocoImageMatches& matches, std::span<const int64_t> matched,
                           int64_t detections, const Instances& objects);

// Both pictures side by side under headings, u8 [h, w, 3]: an object and the detection that found it have one
// colour; objects that were not found and wrong detections are marked, and a line below says what the marks
// mean. `masks` as as_instances() takes them; `verdict` is of `found`.
Tensor compare_instances(const data::InstanceSample& sample, const layers::Detections& found,
                         const std::vector<data::Rle>& masks, const InstanceVerdict& verdict,
                         const std::vector<data::ClassInfo>& classes);

}  // namespace atrous::eval
