// From the `model` section of a config to a network.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "layers/segmentation_model.h"

namespace atrous::nets {

// Plain values; train/config.cpp declares their JSON names, ranges and help texts.
struct ModelOptions {
  std::string name;  // one of model_names()
  int64_t num_classes = 0;
  int64_t in_channels = 3;
  std::string backbone;          // fcn*: "vgg16", "resnet18" ... "resnet101"; empty: the network's default
  int64_t base_width = 64;       // unet: channels of the first level
  int64_t depth = 5;             // unet: number of levels
  std::string padding = "same";  // unet: "same" or "valid" (the paper's form with cropped skips)
  std::string upsampling = "transposed";  // unet: "transposed" or "bilinear"
  std::string norm = "batch";       // "batch", "frozen", "group", "none" ("none" is the U-Net of the paper)
  int64_t output_stride = 0;        // 0: the network's default
  bool aux_loss = false;            // auxiliary head
  bool at_once = false;             // fcn8s/fcn16s on vgg16: fixed scales on the skips, trained in one go
  double dropout = -1;              // < 0: the network's default
  std::string weights;              // safetensors to start from (partial loading); empty: random
  std::vector<std::string> freeze;  // parameter-name prefixes that get no gradients
};

std::vector<std::string> model_names();

// The network with uninitialised parameters: enough for names, shapes and traces. Applies `freeze`.
std::shared_ptr<layers::SegmentationModel> build_model(const ModelOptions& options);

// Builds the network and initialises it from `seed` (counter-based: the same bits anywhere). Loads
// `options.weights` if set and reports what was loaded, missing and mis-shaped to stderr. Error(config) for a
// bad combination.
std::shared_ptr<layers::SegmentationModel> make_model(const ModelOptions& options, uint64_t seed);

}  // namespace atrous::nets
