// Rows of logits at the resolution of the image, made on the fly: nothing of size H x W x K is kept for
// resizing alone.
#pragma once

#include <cstdint>
#include <vector>

#include "core/tensor.h"

namespace atrous::eval {

// Bilinear resize with half-pixel centres (align_corners = false) of logits f32 [h, w, K] to height x width.
// Source coordinate of row y: (y + 1/2) h / height - 1/2, clamped to the map; columns likewise.
class LogitRows {
 public:
  // `mirrored`: the logits are those of the mirrored image; columns are turned round.
  LogitRows(const Tensor& logits, int64_t height, int64_t width, bool mirrored = false);
  int64_t height() const { return height_; }
  int64_t width() const { return width_; }
  int64_t classes() const { return classes_; }
  // Writes row y, [width, K], to `out`. Thread-safe.
  void read(int64_t y, float* out) const;

 private:
  struct Tap {
    int64_t first = 0;   // source index
    int64_t second = 0;  // its right or lower neighbour
    float weight = 0;    // of the second
  };
  static std::vector<Tap> taps(int64_t source, int64_t target);

  Tensor logits_;
  int64_t height_, width_, classes_;
  bool mirrored_;
  std::vector<Tap> rows_, columns_;
};

// In place: each of `pixels` groups of `classes` values becomes its softmax.
void softmax_row(float* values, int64_t pixels, int64_t classes);
// Index of the largest of each group; the lowest index wins a tie.
void argmax_row(const float* values, int64_t pixels, int64_t classes, uint8_t* out);

}  // namespace atrous::eval
