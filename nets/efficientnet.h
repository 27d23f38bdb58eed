// The members of the EfficientNet families.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "layers/module.h"
#include "nets/model_options.h"

namespace atrous::nets {

struct EfficientNetForm {
  const char* name;
  double width, depth;  // factors of the channels, and of the blocks of a stage
  double dropout;       // before the classifier
  bool lite;            // no squeeze and excitation, ReLU6, stem and head not scaled

  int64_t channels(int64_t of_smallest) const;
  std::vector<int64_t> repeats() const;  // blocks of each of the seven stages
};

// efficientnet_lite0 ... efficientnet_lite4, efficientnet_b0 ... efficientnet_b7
std::span<const EfficientNetForm> efficientnet_forms();
// Null if it is none of them.
const EfficientNetForm* find_efficientnet(std::string_view name);

// The EfficientNet inside a network, with what its weights depend on besides.
struct EfficientNetInside {
  const EfficientNetForm* form;  // null with a width_multiplier
  ConvPadding padding;
  double eps;
};
std::optional<EfficientNetInside> efficientnet_in(const layers::Module& network);

}  // namespace atrous::nets
