// Checkpoints: one safetensors file that holds everything needed to go on with the same bits.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "data/dataset.h"
#include "train/config.h"

namespace atrous::train {

// What predict and eval need from a checkpoint.
struct LoadedModel {
  Config config;
  std::shared_ptr<layers::SegmentationModel> model;  // weights loaded, in eval mode
  std::vector<data::ClassInfo> classes;
};

// Opens a checkpoint that `train` wrote. If `config_path` is not empty, that config is used instead of the
// stored one (for weights files without one). Error(checkpoint) names what is missing.
LoadedModel load_model(const std::string& weights_path, const std::string& config_path = "",
                       const std::vector<std::string>& overrides = {});

}  // namespace atrous::train
