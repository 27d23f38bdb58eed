// One builder per network, for the table in factory.cpp. Each file explains its network and gives the source.
#pragma once

#include <memory>

#include "layers/segmentation_model.h"
#include "nets/model_options.h"

namespace atrous::nets {

using ModelPtr = std::shared_ptr<layers::SegmentationModel>;

ModelPtr build_unet(const ModelOptions& options);  // unet.cpp
ModelPtr build_fcn(const ModelOptions& options);   // fcn_vgg.cpp, fcn_resnet.cpp: fcn32s, fcn16s, fcn8s
ModelPtr build_dilated_fcn(const ModelOptions& options);  // fcn_dilated.cpp: fcn_resnet50, fcn_resnet101

}  // namespace atrous::nets
