#include "layers/detection_model.h"

#include "layers/pointwise.h"

namespace atrous::layers {

std::vector<std::pair<std::string, Variable>> DetectionLosses::named() const {
  std::vector<std::pair<std::string, Variable>> all{{"loss_objectness", objectness},
                                                    {"loss_rpn_box_reg", rpn_box_reg},
                                                    {"loss_classifier", classifier},
                                                    {"loss_box_reg", box_reg},
                                                    {"loss_mask", mask}};
  std::erase_if(all, [](const auto& entry) { return !entry.second.defined(); });
  return all;
}

Variable DetectionLosses::total() const {
  Variable sum;
  for (const auto& [name, loss] : named()) sum = sum.defined() ? add(sum, loss) : loss;
  return sum;
}

namespace {

Tensor pasted(const Detections& found, kernels::PasteMasksOptions options) {
  ATROUS_CHECK(found.masks.defined(), ErrorKind::usage,
               "[masks] the detections must have masks. Got boxes alone. Use a network with masks "
               "(maskrcnn_...).");
  options.height = found.image.height;
  options.width = found.image.width;
  return kernels::paste_masks(found.masks, found.boxes, options);
}

}  // namespace

Tensor image_masks(const Detections& found, double threshold, PasteRule rule) {
  return pasted(found, {.rule = rule, .binary = true, .threshold = threshold});
}

Tensor image_mask_probabilities(const Detections& found, PasteRule rule) {
  return pasted(found, {.rule = rule, .binary = false});
}

Detections only(const Detections& found, int64_t begin, int64_t count) {
  ATROUS_CHECK(begin >= 0 && count >= 0 && begin + count <= found.size(), ErrorKind::usage,
               "[detections] there are {}. Got {} from number {} on.", found.size(), count, begin);
  Detections some;
  some.image = found.image;
  some.boxes = found.boxes.narrow_batch(begin, count);
  some.labels.assign(found.labels.begin() + begin, found.labels.begin() + begin + count);
  some.scores.assign(found.scores.begin() + begin, found.scores.begin() + begin + count);
  if (found.masks.defined()) some.masks = found.masks.narrow_batch(begin, count);
  return some;
}

}  // namespace atrous::layers
