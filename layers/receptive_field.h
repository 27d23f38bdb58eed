// The exact receptive field: which pixels of the input a position of a layer's output depends on.
//
// Positions go through the recorded graph (core/op_graph.h) op by op, along rows and along columns: so
// branches, gaps of dilated filters, the phase of transposed convolutions, borders and global ops all count.
// The result is the hull of the support of d(output)/d(input), but for values that happen to have no
// gradient.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/op_graph.h"

namespace atrous::layers {

// Pixels first..last along one axis, none if last < first; and whether an op asked for pixels beyond the
// border, or one whose windows grow with the image.
struct Extent {
  int64_t first = 0, last = -1;
  bool clipped = false;
  int64_t size() const { return last - first + 1; }
  bool operator==(const Extent&) const = default;
};

struct FieldOfPosition {
  Extent rows, cols;
  bool whole = false;  // through a global op (global pooling, statistics of the image): every pixel
};

// Of a layer, over all positions that no border touches (Araujo, Norris, Sim, "Computing receptive fields of
// convolutional neural networks", Distill 2019). Sizes are those of rows and columns together, jump and
// start those of rows.
struct LayerField {
  bool whole = false;  // then the rest is of no use
  // Pixels. They differ where positions differ: behind a transposed convolution they have a period.
  int64_t smallest = 0, largest = 0;
  double jump = 0;   // pixels between neighbouring positions
  double start = 0;  // centre of position 0 in pixels, the mean over a period; the first pixel spans 0 to 1
  // The input has no period of positions that borders do not touch, or windows grow with it (bins of adaptive
  // pools). Then the sizes are those of all
  // positions, cut off by the borders, and jump and start are not known.
  bool clipped = false;
};

class ReceptiveField {
 public:
  // Of all values of a graph. `input`: a value with shape [N, H, W, C].
  ReceptiveField(const OpGraph& graph, int input);

  // The pixels of the input that position (row, col) of `value` [N, h, w, C] depends on; none if it depends
  // on padding alone. Error(internal) behind an op that does not say what it reads.
  std::optional<FieldOfPosition> at(int value, int64_t row, int64_t col) const;

  // None for a value that does not depend on the input. Error as above.
  std::optional<LayerField> of(int value) const;

 private:
  struct Axis {
    std::vector<Extent> at;  // of each position
    int64_t coarsest = 1;    // pixels per position, rounded up, where the path was coarsest
  };
  struct Field {
    Axis rows, cols;  // without positions: the value does not depend on the input
    bool whole = false;
    std::string unknown;  // why the field cannot be followed
  };
  struct Pattern;
  static void add(Axis& to, const Axis& from);
  static Axis read(const Axis& from, const Reach::Axis& reach, int64_t positions);
  static Axis read_everything(const Axis& from, int64_t positions);
  static Pattern pattern_of(const Axis& axis, int64_t pixels);
  Field operand_field(const OpGraph::Operand& operand) const;
  Field pull(const OpGraph::Node& node, const OpGraph::Operand& operand, const Shape& written) const;
  void merge(Field& to, Field&& from) const;
  const Field& known(int value) const;

  const OpGraph& graph_;
  int64_t height_, width_;
  std::vector<Field> fields_;  // of each value
};

}  // namespace atrous::layers
