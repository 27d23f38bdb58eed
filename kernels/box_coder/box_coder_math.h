// The formulas of box_coder.h for one box, shared by the reference, the CPU and the GPU.
#pragma once

#include <cmath>

#include "kernels/box_coder/box_coder.h"
#include "kernels/common/box_math.h"

namespace atrous::kernels {

// The options in f32, as torch converts Python's numbers.
struct CoderWeights {
  float wx, wy, ww, wh, clamp;
  explicit CoderWeights(const BoxCoderOptions& o)
      : wx(static_cast<float>(o.wx)),
        wy(static_cast<float>(o.wy)),
        ww(static_cast<float>(o.ww)),
        wh(static_cast<float>(o.wh)),
        clamp(static_cast<float>(o.clamp)) {}
};

struct CentredBox {
  float x, y, width, height;
};

// A half is exact, so that only the sum rounds.
ATROUS_HD inline CentredBox centred(const Box& b) {
  const float width = b.x2 - b.x1, height = b.y2 - b.y1;
  return {b.x1 + 0.5f * width, b.y1 + 0.5f * height, width, height};
}

// Deltas come as a Box: dx, dy, dw, dh in place of x1, y1, x2, y2.
ATROUS_HD inline Box encoded(const Box& reference, const Box& proposal, const CoderWeights& w) {
  const CentredBox g = centred(reference), p = centred(proposal);
  return {w.wx * (g.x - p.x) / p.width, w.wy * (g.y - p.y) / p.height, w.ww * logf(g.width / p.width),
          w.wh * logf(g.height / p.height)};
}

ATROUS_HD inline Box decoded(const Box& delta, const Box& box, const CoderWeights& w) {
  const CentredBox p = centred(box);
  const float dw = delta.x2 / w.ww, dh = delta.y2 / w.wh;
  const float x = rounded_product(delta.x1 / w.wx, p.width) + p.x;
  const float y = rounded_product(delta.y1 / w.wy, p.height) + p.y;
  const float half_width = 0.5f * (expf(dw > w.clamp ? w.clamp : dw) * p.width);
  const float half_height = 0.5f * (expf(dh > w.clamp ? w.clamp : dh) * p.height);
  return {x - half_width, y - half_height, x + half_width, y + half_height};
}

// Into [0, limit]; NaN stays NaN.
ATROUS_HD inline float clipped(float v, float limit) {
  const float from_0 = v < 0 ? 0.0f : v;
  return from_0 > limit ? limit : from_0;
}
ATROUS_HD inline Box clipped(const Box& b, float height, float width) {
  return {clipped(b.x1, width), clipped(b.y1, height), clipped(b.x2, width), clipped(b.y2, height)};
}

struct UsableRule {
  float min_size, min_score;
  bool strict;
  explicit UsableRule(const UsableOptions& o)
      : min_size(static_cast<float>(o.min_size)),
        min_score(static_cast<float>(o.min_score)),
        strict(o.strict) {}
  // Comparisons with NaN are false. Infinite boxes would survive torchvision's rule, but overlap nothing in
  // nms.
  ATROUS_HD bool operator()(const Box& b) const {
    const float width = b.x2 - b.x1, height = b.y2 - b.y1;
    return width >= min_size && height >= min_size;
  }
  ATROUS_HD bool operator()(float score) const { return strict ? score > min_score : score >= min_score; }
};

ATROUS_HD inline void store_box(float* boxes, int64_t i, const Box& b) {
  float* to = boxes + 4 * i;
  to[0] = b.x1;
  to[1] = b.y1;
  to[2] = b.x2;
  to[3] = b.y2;
}

}  // namespace atrous::kernels
