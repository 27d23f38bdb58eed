// The rate and the decay of each parameter, from the options of an optimiser.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "layers/module.h"
#include "train/config.h"

namespace atrous::train {

// Whether the parameter of that name is the backbone's; null: none is.
using InBackbone = std::function<bool(const std::string& name)>;

struct ParameterRate {
  double lr_factor = 1;  // of the step's rate
  double weight_decay = 0;
  int64_t first_step = 0;  // the parameter does not change before this step
  bool operator==(const ParameterRate&) const = default;
};

// One per parameter. Those of the backbone have backbone_lr_factor * layer_decay^d, where d is 1 for the
// backbone's last layer and n for the first of n (Clark et al., "ELECTRA", arXiv:2003.10555, section 3.1);
// the factors of `groups` multiply on top. Error(config) if an option is given that applies to no parameter.
std::vector<ParameterRate> parameter_rates(const OptimizerOptions& options,
                                           const std::vector<layers::NamedParameter>& parameters,
                                           const InBackbone& in_backbone);

// The layers of a backbone, as the names of its parameters tell: a layer is a block (layer3.2, blocks.4.1,
// features.7), or a module outside of blocks (conv1), with the norm behind it. For each parameter the index
// of its layer, in the order of registration; -1 for those that are not the backbone's.
std::vector<int64_t> backbone_layers(const std::vector<layers::NamedParameter>& parameters,
                                     const InBackbone& in_backbone);

}  // namespace atrous::train
