// The exact receptive field: which pixels of the input a position of a layer's output depends on.
//
// Positions go backwards through the recorded graph (core/op_graph.h), op by op, along rows and along
// columns: so branches, gaps of dilated filters, the phase of transposed convolutions, borders and global ops
// all count. What is left is the support of d(output)/d(input), but for values that happen to have no
// gradient.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "core/op_graph.h"

namespace atrous::layers {

// Pixels first..last along one axis, and whether the op before the border asked for pixels beyond it.
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

// Of a layer, from positions around the middle of its output (Araujo, Norris, Sim, "Computing receptive
// fields of convolutional neural networks", Distill 2019). Along rows; columns may differ.
struct LayerField {
  bool whole = false;                 // then the rest is of no use
  int64_t smallest = 0, largest = 0;  // pixels; they differ where positions differ (transposed convolution)
  double jump = 1;                    // pixels between neighbouring positions
  double start = 0.5;                 // centre of position 0 in pixels; the first pixel spans 0 to 1
  bool clipped = false;               // the input is too small: the borders cut the field off
};

class ReceptiveField {
 public:
  // `input`: a value of the graph with shape [N, H, W, C].
  ReceptiveField(const OpGraph& graph, int input);

  // The pixels of the input that position (row, col) of `value` [N, h, w, C] depends on; none if it does not
  // depend on it. Error(internal) for an op that does not say what it reads.
  std::optional<FieldOfPosition> at(int value, int64_t row, int64_t col) const;

  // Over `positions` neighbouring rows and columns in the middle of `value`; none as above.
  std::optional<LayerField> of(int value, int64_t positions = 65) const;

 private:
  struct Taken {  // positions of a value that count so far
    std::vector<char> rows, cols;
    bool whole = false, clipped = false;
  };
  void pull(const OpGraph::Node& node, const Taken& out, const OpGraph::Operand& operand,
            std::vector<Taken>& taken) const;

  const OpGraph& graph_;
  const int input_;
};

}  // namespace atrous::layers
