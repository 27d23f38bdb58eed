// Which network of which program a weights file is for, by the names of its tensors.
#pragma once

#include <string>
#include <vector>

#include "core/stored_type.h"

namespace atrous::nets {

// "torchvision DeepLab v3, backbone resnet101, 21 classes"; "" if the names are those of none in the table.
std::string describe_scheme(const std::vector<StoredTensor>& tensors);

}  // namespace atrous::nets
