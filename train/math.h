// Puts a config's choice of arithmetic into effect.
#pragma once

#include "layers/segmentation_model.h"
#include "train/config.h"

namespace atrous::train {

// Sets the permissions of `exact` and `math`, and the model's type of activations. Error(config) if the
// model's device cannot do it.
void use_math(const Config& config, layers::SegmentationModel& model);

}  // namespace atrous::train
