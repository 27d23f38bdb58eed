// One builder per network, for the table in factory.cpp. Each file explains its network and gives the source.
#pragma once

#include <memory>

#include "layers/detection_model.h"
#include "layers/segmentation_model.h"
#include "nets/model_options.h"

namespace atrous::nets {

using ModelPtr = std::shared_ptr<layers::SegmentationModel>;
using DetectorPtr = std::shared_ptr<layers::DetectionModel>;

ModelPtr build_unet(const ModelOptions& options);  // unet.cpp
// fcn_vgg.cpp, fcn_resnet.cpp: fcn32s, fcn16s, fcn8s
ModelPtr build_fcn(const ModelOptions& options, int64_t stride);
// torchvision_segmentation.cpp: fcn_resnet50, fcn_resnet101, deeplabv3_resnet50, deeplabv3_resnet101,
// deeplabv3_mobilenet_v3_large
ModelPtr build_torchvision_segmentation(const ModelOptions& options);
ModelPtr build_pspnet(const ModelOptions& options);         // pspnet.cpp
ModelPtr build_backbone_unet(const ModelOptions& options);  // unet_backbone.cpp: unet with a backbone
ModelPtr build_segnet(const ModelOptions& options);         // segnet.cpp
ModelPtr build_fc_densenet(const ModelOptions& options);    // fc_densenet.cpp
ModelPtr build_lraspp(const ModelOptions& options);         // lraspp.cpp: lraspp_mobilenet_v3_large

// classification.cpp: resnet18 ... resnet152, resnext50_32x4d, resnext101_32x8d, vgg16, vgg16_bn, vgg19,
// vgg19_bn, mobilenet_v2, mobilenet_v3_large, mobilenet_v3_small, efficientnet_lite0 ... lite4,
// efficientnet_b0 ... b7
ModelPtr build_classifier(const ModelOptions& options);
ModelPtr build_lenet5(const ModelOptions& options);         // lenet.cpp
ModelPtr build_alexnet(const ModelOptions& options);        // alexnet.cpp
ModelPtr build_googlenet(const ModelOptions& options);      // googlenet.cpp
ModelPtr build_inception_v3(const ModelOptions& options);   // inception.cpp
ModelPtr build_deeplabv1(const ModelOptions& options);      // deeplabv2.cpp
ModelPtr build_deeplabv2(const ModelOptions& options);      // deeplabv2.cpp
ModelPtr build_deeplabv3(const ModelOptions& options);      // deeplabv3.cpp
ModelPtr build_deeplabv3plus(const ModelOptions& options);  // deeplabv3plus.cpp

ModelPtr build_layer_list(const ModelOptions& options);  // layer_list.cpp: layers

// rcnn.cpp: fasterrcnn_resnet50_fpn, maskrcnn_resnet50_fpn, their _v2 forms, fasterrcnn_vgg16
DetectorPtr build_rcnn(const ModelOptions& options);

}  // namespace atrous::nets
