// Pictures of objects: coloured masks, boxes, names.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "core/instances.h"
#include "data/dataset.h"

namespace atrous::eval {

// One element per object, or empty.
struct InstanceNotes {
  std::vector<int64_t> colors;      // numbers of colours; empty: 0, 1, 2 ...
  std::vector<std::string> errors;  // the error in a word; "": none
};

// image u8 [H, W, C] (1 channel is grey, of more than 3 the first 3 are shown) -> u8 [h, w, 3]: every object
// in a colour that its neighbours in the list do not have; tinted mask with a full outline, box, and
// a tag with name (where there are several classes) and, if given, score. Large objects are drawn first, so
// that small ones stay visible. A tag lies where it hides least, around its box or inside it; one that would
// hide other objects is left out, so that crowded pictures stay readable. Objects with errors have a box of
// red dashes and a red tag. Crowds are outlined in grey. Small images are enlarged by a whole factor first;
// lines and letters grow with the picture.
Tensor draw_instances(const Tensor& image, const Instances& objects,
                      const std::vector<data::ClassInfo>& classes, std::span<const float> scores = {},
                      const InstanceNotes& notes = {});

}  // namespace atrous::eval
