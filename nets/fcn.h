// The two forms of FCN-32s, 16s and 8s (Long, Shelhamer, Darrell, arXiv:1411.4038; Shelhamer et al.,
// arXiv:1605.06211) behind build_fcn.
#pragma once

#include "nets/networks.h"

namespace atrous::nets {

// stride: 32, 16 or 8.
ModelPtr make_fcn_vgg(const ModelOptions& options, int64_t stride);
ModelPtr make_fcn_resnet(const ModelOptions& options, int64_t stride);

}  // namespace atrous::nets
