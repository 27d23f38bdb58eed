// A network's forward pass as a graph of ops, without arithmetic: the layers of a network and their
// cost.
//
//   const BuildDeviceGuard on_meta(Device::meta);
//   const auto model = nets::build_network(options);
//   const RecordedPass pass = record_pass(*model, {1, 512, 512, 3});
#pragma once

#include <string>
#include <vector>

#include "core/op_graph.h"
#include "layers/detection_model.h"
#include "layers/segmentation_model.h"

namespace atrous::layers {

struct RecordedPass {
  OpGraph graph;
  int input = -1;   // value of the image
  int output = -1;  // of the logits, in evaluation at the size of output.region; -1 for detection models
  SegmentationOutput result;  // of a semantic model; keeps the tape, if there is one
  // Multiply-accumulates of convolutions and matrix products.
  int64_t macs() const;
};

// The pass of `model`, which lies on Device::meta (or any other), for an image [N, H, W, C]. A detection
// model gets an image that is already resized and padded, and its maximum number of regions.
RecordedPass record_pass(Model& model, const Shape& image);

// A module's call, or an op of a container that reads more than its own position (pooling, resizing).
struct LayerRow {
  std::string name;       // dotted path of the module
  std::string kind;       // of the module, or the op
  std::string arguments;  // of the module, or the op's problem
  Shape input, output;
  int64_t parameters = 0;
  int64_t macs = 0;
  int value = -1;  // of the output
};
std::vector<LayerRow> layer_rows(const Model& model, const OpGraph& graph);

}  // namespace atrous::layers
