// Not differentiable: no layer.
//
// Non-maximum suppression: of boxes that overlap, the one with the highest score stays. Within each group (a
// class, a level, an image) separately:
//
//   go through the boxes by falling score, equal scores by rising index;
//   keep a box unless its overlap with one kept before is larger than the threshold (equal is kept).
//
// Groups are compared by their number. torchvision.ops.batched_nms has two ways, of which this is the one for
// many boxes; the other shifts each group far away and suppresses all at once, which rounds the coordinates,
// so that overlaps near the threshold may fall on the other side. On the CPU torchvision breaks ties of
// scores like this op since its sort is stable.
//
// No host synchronisation: the result has a fixed capacity, and its length stays on the device.
#pragma once

#include <string>

#include "core/tensor.h"

namespace atrous::kernels {

struct NmsOptions {
  double iou_threshold = 0.5;
  int64_t groups = 1;    // group numbers are 0 ... groups - 1; boxes with another number are left out
  int64_t max_keep = 0;  // keep only this many of the best, over all groups together; 0: all
};

struct NmsProblem {
  int64_t boxes = 0;
  NmsOptions options;
  int64_t capacity() const;  // max_keep or the number of boxes, whichever is less
  std::string str() const;   // "n8819 groups 5 iou 0.7 keep 2000"
};

struct NmsResult {
  Tensor indices;  // i32 [capacity]: kept boxes by falling score, equal scores by rising index; then -1
  Tensor count;    // i32 [1]: how many are kept

  static void each_tensor(auto& self, const auto& f) {
    f(self.indices);
    f(self.count);
  }
};

// boxes f32 [n, 4] (x1, y1, x2, y2), scores f32 [n], groups i32 [n] (undefined: all are group 0), valid u8
// [n] (undefined: all; 0 leaves a box out). Boxes with a NaN for a score come last; boxes that are empty or
// not finite overlap nothing. Error(usage): shapes, types, a threshold outside [0, 1].
NmsResult nms(const Tensor& boxes, const Tensor& scores, const Tensor& groups, const Tensor& valid,
              const NmsOptions& options);

}  // namespace atrous::kernels
