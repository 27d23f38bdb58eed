// Which network of which program a weights file is for, by the names and shapes of its tensors.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/stored_type.h"
#include "nets/model_options.h"

namespace atrous::nets {

struct FileNetwork {
  std::string program;   // "torchvision DeepLab v3"
  std::string backbone;  // one of backbone_names(); empty if it is none of them
  double width = 1;      // its width_multiplier
  int64_t classes = 0;   // 0: unknown
  // The network of atrous, as far as the file determines it; empty if there is none.
  std::optional<ModelOptions> model = {};
  std::vector<std::string> assumptions = {};  // what it does not determine, for people
  std::string str() const;                    // "torchvision DeepLab v3, resnet101, 21 classes"
};

// Nothing if the names are those of no network in the table.
std::optional<FileNetwork> recognise(const std::vector<StoredTensor>& tensors);

// str() of the network; "" for none.
std::string describe_scheme(const std::vector<StoredTensor>& tensors);

}  // namespace atrous::nets
