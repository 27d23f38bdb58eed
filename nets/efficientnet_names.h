// EfficientNets in files of other programs: whose names they have, and which member of the family they are.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "nets/efficientnet.h"
#include "nets/model_options.h"

namespace atrous::nets {

// The tensors of a file: name and first extent, -1 if that is unknown.
using RowCounts = std::map<std::string, int64_t>;

struct EfficientNetNames {
  const char* program;                     // whose names they are
  const EfficientNetForm* form = nullptr;  // whose blocks and channels; null if none has them
  // What that program computes; unset for timm's names, which both forms have.
  std::optional<ConvPadding> padding = {};
  std::optional<double> eps = {};
  // Every name in the file, with the prefix, and the network's own name for it, without.
  std::map<std::string, std::string> own = {};
  // The name in the file of what is `own` here; "" if it is not there.
  std::string in_file(const std::string& name) const;
};

// torchvision's ("features.1.0.block.0.0.weight"), efficientnet-pytorch's
// ("_blocks.0._depthwise_conv.weight"; segmentation_models_pytorch has them too) or timm's, below a prefix
// such as "encoder.".
std::optional<EfficientNetNames> efficientnet_names(const RowCounts& file, const std::string& prefix);

}  // namespace atrous::nets
