// One builder per network, for the table in factory.cpp. Each file explains its network and gives the source.
#pragma once

#include <memory>

#include "layers/segmentation_model.h"
#include "nets/model_options.h"

namespace atrous::nets {

using ModelPtr = std::shared_ptr<layers::SegmentationModel>;

ModelPtr build_unet(const ModelOptions& options);  // unet.cpp
ModelPtr build_fcn(const ModelOptions& options);   // fcn_vgg.cpp, fcn_resnet.cpp: fcn32s, fcn16s, fcn8s
// torchvision_segmentation.cpp: fcn_resnet50, fcn_resnet101, deeplabv3_resnet50, deeplabv3_resnet101
ModelPtr build_torchvision_segmentation(const ModelOptions& options);
ModelPtr build_pspnet(const ModelOptions& options);         // pspnet.cpp
ModelPtr build_backbone_unet(const ModelOptions& options);  // unet_backbone.cpp: unet with a backbone
ModelPtr build_segnet(const ModelOptions& options);         // segnet.cpp
ModelPtr build_fc_densenet(const ModelOptions& options);    // fc_densenet.cpp

}  // namespace atrous::nets
