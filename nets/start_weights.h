// Weights that a network starts from.
#pragma once

#include <string>

#include "layers/segmentation_model.h"

namespace atrous::nets {

// What fits of a safetensors file (names and shapes), reported to stderr. Names may be those of the network,
// or of a classification network whose features are the backbone. Error(checkpoint) if nothing fits.
void load_start_weights(const layers::SegmentationModel& model, const std::string& path);
// The same for the backbone alone: a file of a whole network gives its backbone, and its head is left out.
void load_backbone_weights(const layers::SegmentationModel& model, const std::string& path);

}  // namespace atrous::nets
