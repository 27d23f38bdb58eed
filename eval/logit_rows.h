// Rows of logits at the resolution of the label, made on the fly: nothing of size H x W x K is kept for
// resizing alone.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "core/tensor.h"

namespace atrous::eval {

// The two source positions and weights of each output row (or column) of a bilinear resize.
struct Tap {
  int64_t first = 0;   // source index
  int64_t second = 0;  // its right or lower neighbour
  float weight = 0;    // of the second
};

// Taps of `target` positions in a line of `source` logits. The label line of `target` pixels was resized to
// the network's `input` pixels with half-pixel centres, so position i lies there at
//   x = (i + 1/2) input / target - 1/2, clamped to [0, input - 1],
// and among the logits at (x + 1/2) source / input - 1/2, or at x (source - 1) / (input - 1) where the
// network aligns corners; clamped to the line. One interpolation, not two, whatever the sizes.
std::vector<Tap> logit_taps(int64_t source, int64_t input, int64_t target, bool align_corners);

// The sizes that a resize goes through.
struct LogitGeometry {
  int64_t input_height = 0;  // the network's input
  int64_t input_width = 0;
  int64_t height = 0;  // of the label
  int64_t width = 0;
  bool align_corners = false;
  bool mirrored = false;  // the logits are those of the mirrored image: columns are turned round
};

// Bilinear resize of logits f32 [h, w, K], row by row.
class LogitRows {
 public:
  LogitRows(const Tensor& logits, const LogitGeometry& geometry);
  int64_t elements() const { return logits_.numel(); }
  // Writes row y of the result, [width, K], to `out`. Thread-safe.
  void read(int64_t y, float* out) const;

 private:
  Tensor logits_;
  bool mirrored_;
  std::vector<Tap> rows_, columns_;
};

// The same for logits that come a few rows at a time: only one earlier row is kept.
class LogitStream {
 public:
  // Takes rows [first, first + count) of the result, [count, width, K]; it may change them.
  using Sink = std::function<void(int64_t first, int64_t count, float* rows)>;

  LogitStream(int64_t source_height, int64_t source_width, int64_t classes, const LogitGeometry& geometry,
              Sink sink);
  // The next `count` rows of the logits, [count, source_width, K].
  void push(int64_t count, const float* rows);

 private:
  Sink sink_;
  int64_t source_width_, classes_;
  bool mirrored_;
  int64_t received_ = 0, emitted_ = 0;
  std::vector<float> last_;  // the row before those being pushed
  std::vector<Tap> rows_, columns_;
};

// In place: each of `pixels` groups of `classes` values becomes its softmax.
void softmax_row(float* values, int64_t pixels, int64_t classes);
// Index of the largest of each group; the lowest index wins a tie.
void argmax_row(const float* values, int64_t pixels, int64_t classes, uint8_t* out);

}  // namespace atrous::eval
