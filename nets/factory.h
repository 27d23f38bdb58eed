// From the `model` section of a config to a network.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "layers/segmentation_model.h"
#include "nets/backbone.h"
#include "nets/model_options.h"

namespace atrous::nets {

std::vector<std::string> model_names();

// The network with uninitialised parameters: enough for names, shapes and traces. Applies `freeze`.
std::shared_ptr<layers::SegmentationModel> build_model(const ModelOptions& options);

// Builds the network and initialises it from `seed` (counter-based: the same bits anywhere). Loads
// `options.weights` and `options.backbone_weights` if set and reports what was loaded, missing and mis-shaped
// to stderr. Error(config) for a bad combination.
std::shared_ptr<layers::SegmentationModel> make_model(const ModelOptions& options, uint64_t seed);

}  // namespace atrous::nets
