// The config of a weights file that has none: from the names and shapes of its tensors, and from the
// config.json that model hubs put beside it.
#pragma once

#include <string>
#include <vector>

#include "core/safetensors.h"
#include "data/dataset.h"
#include "train/config.h"

namespace atrous::train {

struct DerivedConfig {
  Config config;
  std::vector<data::ClassInfo> classes;  // empty: numbers only
  std::vector<std::string> notes;        // what was found and what is assumed, lines for people
};

// `overrides` as for load_config. A hub's config.json: train/hub_config.h. Class names that are still unknown
// are those of the data set with that number of classes (VOC 21, Cityscapes 19, ADE20K 150, ...), which is a
// note. Error(checkpoint) if the network is unknown, not one of atrous or has one output, if the hub's config
// contradicts it, or if the config of a run lies beside; Error(config) for a bad override.
DerivedConfig derive_config(const TensorFile& file, const std::string& path,
                            const std::vector<std::string>& overrides);

}  // namespace atrous::train
