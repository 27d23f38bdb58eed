// Pictures of objects: coloured masks, boxes, names.
#pragma once

#include <span>
#include <vector>

#include "core/instances.h"
#include "data/dataset.h"

namespace atrous::eval {

// image u8 [H, W, C] (1 channel is grey, of more than 3 the first 3 are shown) -> u8 [h, w, 3]: every object
// in a colour of its own, that neighbours in the list do not share; tinted mask with a full outline, box, and
// a tag with name and, if given, score. Large objects are drawn first, so that small ones stay visible, and a
// tag that finds no free place is left out, so that crowded pictures stay readable. Crowds are outlined in
// grey. Small images are enlarged by a whole factor first: names need room.
Tensor draw_instances(const Tensor& image, const Instances& objects,
                      const std::vector<data::ClassInfo>& classes, std::span<const float> scores = {});

}  // namespace atrous::eval
