// The config.json that model hubs put beside weights: of segmentation_models_pytorch (`save_pretrained`),
// timm and transformers.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/json_value.h"
#include "nets/file_schemes.h"
#include "train/config.h"

namespace atrous::train {

// The config.json in the folder of a weights file, or of a run in the folder above. "" if there is none.
std::string config_beside(const std::string& weights);

// The hub's config in the folder of a weights file. Error(checkpoint) if the config of a run lies there or
// above: that tells more than the weights, and is not to be guessed. Error(config) if it is no JSON.
std::optional<JsonValue> hub_config(const std::string& weights);

// Takes from a hub's config what weights do not tell: the output stride and the rates of
// segmentation_models_pytorch; of timm the form of an EfficientNet ("tf_"), mean, standard deviation and the
// size of images. `notes` gets a line on what was taken. Returns the names of the classes, if it has them.
// Error(checkpoint), which names file and line, for what contradicts the weights or has another form.
std::vector<std::string> apply_hub(const JsonValue& hub, nets::FileNetwork& network, Config& config,
                                   std::vector<std::string>& notes);

}  // namespace atrous::train
