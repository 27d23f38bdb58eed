// Every network in a form that is small enough to run in milliseconds: `model` sections of configs, at least
// one per name. (The deepest have group norm: with made-up running statistics that many residual blocks leave
// the range of f32.)
#pragma once

#include "nets/factory.h"
#include "train/config.h"

namespace atrous::nets_test {

constexpr const char* tiny_models[] = {
    R"({"name": "unet", "base_width": 2, "depth": 4})",
    R"({"name": "unet", "base_width": 2, "depth": 5, "upsampling": "bilinear"})",
    R"({"name": "unet", "backbone": "resnet18", "width_multiplier": 0.0625})",
    R"({"name": "unet", "backbone": "resnet34", "width_multiplier": 0.0625, "attention": "se"})",
    R"({"name": "unet", "backbone": "resnet50", "width_multiplier": 0.0625, "attention": "scse"})",
    R"({"name": "unet", "backbone": "vgg16_bn", "width_multiplier": 0.03125, "attention": "scse"})",
    R"({"name": "unet", "backbone": "mobilenet_v2", "width_multiplier": 0.0625})",
    R"({"name": "segnet", "width_multiplier": 0.03125})",
    R"({"name": "segnet", "form": "basic", "width_multiplier": 0.03125})",
    R"({"name": "fc_densenet", "layers": 56, "width_multiplier": 0.0625})",
    R"({"name": "fc_densenet", "width_multiplier": 0.0625})",
    R"({"name": "fcn32s", "backbone": "resnet18", "width_multiplier": 0.0625})",
    R"({"name": "fcn16s", "backbone": "resnet50", "width_multiplier": 0.0625})",
    R"({"name": "fcn8s", "backbone": "resnet18", "width_multiplier": 0.0625})",
    R"({"name": "fcn8s", "width_multiplier": 0.0078125})",
    R"({"name": "fcn_resnet50", "width_multiplier": 0.03125, "aux_loss": true})",
    R"({"name": "fcn_resnet50", "width_multiplier": 0.03125, "output_stride": 16, "stem": "deep"})",
    R"({"name": "fcn_resnet101", "width_multiplier": 0.03125})",
    R"({"name": "deeplabv3_resnet50", "width_multiplier": 0.03125, "aux_loss": true})",
    R"({"name": "deeplabv3_resnet101", "width_multiplier": 0.03125, "output_stride": 16, "rates": [2, 4]})",
    R"({"name": "pspnet", "backbone": "resnet18", "width_multiplier": 0.0625, "aux_loss": true})",
    R"({"name": "pspnet", "width_multiplier": 0.03125, "stem": "plain", "output_stride": 16})",
    R"({"name": "pspnet", "form": "smp", "backbone": "resnet18", "width_multiplier": 0.0625})",
    R"({"name": "pspnet", "form": "smp", "backbone": "mobilenet_v2", "width_multiplier": 0.0625, "output_stride": 32})",
    R"({"name": "deeplabv3_mobilenet_v3_large", "width_multiplier": 0.0625, "aux_loss": true})",
    R"({"name": "lraspp_mobilenet_v3_large", "width_multiplier": 0.0625})",
    R"({"name": "resnet18", "width_multiplier": 0.0625})",
    R"({"name": "resnet34", "width_multiplier": 0.0625, "stem": "deep"})",
    R"({"name": "resnet50", "width_multiplier": 0.0625, "output_stride": 8, "multi_grid": [1, 2, 4]})",
    R"({"name": "resnet101", "width_multiplier": 0.03125})",
    R"({"name": "resnet152", "width_multiplier": 0.03125, "backbone_norm": "group"})",
    R"({"name": "resnext50_32x4d", "width_multiplier": 0.0625})",
    R"({"name": "resnext101_32x8d", "width_multiplier": 0.0625, "backbone_norm": "group"})",
    R"({"name": "vgg16", "width_multiplier": 0.03125})",
    R"({"name": "vgg16_bn", "width_multiplier": 0.03125, "output_stride": 8})",
    R"({"name": "vgg19", "width_multiplier": 0.03125})",
    R"({"name": "vgg19_bn", "width_multiplier": 0.03125, "output_stride": 16})",
    R"({"name": "mobilenet_v2", "width_multiplier": 0.0625, "output_stride": 16})",
    R"({"name": "mobilenet_v3_large", "width_multiplier": 0.0625})",
    R"({"name": "mobilenet_v3_small", "width_multiplier": 0.0625})",
    R"({"name": "efficientnet_lite0", "width_multiplier": 0.0625})",
    R"({"name": "efficientnet_lite1", "width_multiplier": 0.03125, "drop_path": 0.5})",
    R"({"name": "efficientnet_lite2", "width_multiplier": 0.03125, "output_stride": 16})",
    R"({"name": "efficientnet_lite3", "width_multiplier": 0.03125})",
    R"({"name": "efficientnet_lite4", "width_multiplier": 0.03125})",
    R"({"name": "efficientnet_b0", "width_multiplier": 0.0625, "drop_path": 0.2})",
    R"({"name": "efficientnet_b1", "width_multiplier": 0.03125, "conv_padding": "symmetric", "norm_eps": 1e-5})",
    R"({"name": "efficientnet_b2", "width_multiplier": 0.03125})",
    R"({"name": "efficientnet_b3", "width_multiplier": 0.03125})",
    R"({"name": "efficientnet_b4", "width_multiplier": 0.03125})",
    R"({"name": "efficientnet_b5", "width_multiplier": 0.03125})",
    R"({"name": "efficientnet_b6", "width_multiplier": 0.03125})",
    R"({"name": "efficientnet_b7", "width_multiplier": 0.03125})",
    R"({"name": "unet", "backbone": "efficientnet_lite0", "width_multiplier": 0.0625})",
    R"({"name": "unet", "backbone": "efficientnet_b0", "width_multiplier": 0.0625, "conv_padding": "symmetric", "norm_eps": 1e-5, "drop_path": 0.2})",
    R"({"name": "unet", "backbone": "mobilenet_v3_large", "width_multiplier": 0.0625})",
    R"({"name": "unet", "backbone": "resnext50_32x4d", "width_multiplier": 0.0625})",
    R"({"name": "deeplabv3plus", "backbone": "efficientnet_b0", "width_multiplier": 0.0625, "output_stride": 8, "backbone_norm": "group"})",
    R"({"name": "deeplabv3plus", "form": "smp", "backbone": "efficientnet_lite0", "width_multiplier": 0.0625})",
    R"({"name": "deeplabv3plus", "backbone": "mobilenet_v3_small", "width_multiplier": 0.0625})",
    R"({"name": "pspnet", "backbone": "efficientnet_lite0", "width_multiplier": 0.0625})",
    R"({"name": "pspnet", "backbone": "resnext50_32x4d", "width_multiplier": 0.0625})",
    R"({"name": "pspnet", "form": "smp", "backbone": "resnext50_32x4d", "width_multiplier": 0.0625})",
    R"({"name": "deeplabv3plus", "backbone": "resnext101_32x8d", "width_multiplier": 0.03125, "backbone_norm": "group"})",
    R"({"name": "deeplabv3", "form": "smp", "backbone": "efficientnet_lite0", "width_multiplier": 0.0625})",
    R"({"name": "deeplabv3", "backbone": "mobilenet_v3_large", "width_multiplier": 0.0625})",
    R"({"name": "pspnet", "form": "smp", "backbone": "efficientnet_b0", "width_multiplier": 0.0625})",
    R"({"name": "lenet5", "in_channels": 1})",
    R"({"name": "lenet5", "width_multiplier": 0.1, "input_size": 33})",
    R"({"name": "alexnet", "width_multiplier": 0.03125})",
    R"({"name": "alexnet", "form": "caffe", "width_multiplier": 0.03125})",
    R"({"name": "googlenet", "width_multiplier": 0.0625, "aux_loss": true, "transform_input": true})",
    R"({"name": "inception_v3", "width_multiplier": 0.0625})",
    R"({"name": "deeplabv3plus", "backbone": "resnet18", "width_multiplier": 0.0625})",
    R"({"name": "deeplabv3plus", "width_multiplier": 0.03125, "output_stride": 8, "multi_grid": [1, 2, 4]})",
    R"({"name": "deeplabv3plus", "form": "smp", "backbone": "resnet34", "width_multiplier": 0.0625})",
    R"({"name": "deeplabv3plus", "backbone": "xception65", "width_multiplier": 0.015625})",
    R"({"name": "deeplabv3plus", "backbone": "mobilenet_v2", "width_multiplier": 0.0625, "output_stride": 8})",
    R"({"name": "deeplabv3", "backbone": "resnet34", "width_multiplier": 0.0625})",
    R"({"name": "deeplabv3", "backbone": "xception65", "width_multiplier": 0.015625, "output_stride": 8, "multi_grid": [1, 2, 4]})",
    R"({"name": "deeplabv3", "form": "smp", "backbone": "resnet18", "width_multiplier": 0.0625})",
    R"({"name": "layers", "num_classes": 3, "layer_list": [{"kind": "conv", "out": 4, "stride": 2, "pad": 1}, {"kind": "norm"}, {"kind": "relu"}, {"kind": "dropout"}, {"kind": "conv", "kernel": 1}]})",
    R"({"name": "deeplabv1", "width_multiplier": 0.03125})",
    R"({"name": "deeplabv2", "backbone": "vgg16", "width_multiplier": 0.03125})",
    R"({"name": "deeplabv2", "backbone": "resnet18", "width_multiplier": 0.0625, "input_scales": [1, 0.75, 0.5]})",
    R"({"name": "deeplabv3plus", "backbone": "resnet18", "width_multiplier": 0.0625,
        "crf_as_rnn": {"iterations_train": 2, "iterations": 3}})",
    R"({"name": "unet", "base_width": 2, "depth": 3, "crf_as_rnn": {"weights": "diagonal", "iterations": 1}})",
};

// The same for detection models. Images are brought to about 64 pixels.
constexpr const char* tiny_detectors[] = {
    R"({"name": "maskrcnn_resnet50_fpn", "backbone": "resnet18", "width_multiplier": 0.03125, "norm": "frozen", "detection": {"min_size": [48], "max_size": 80, "anchor_sizes": [8, 16, 24, 32, 48], "rpn_post_nms_train": 60, "rpn_post_nms_test": 30, "box_samples": 24, "max_detections": 10}})",
    R"({"name": "maskrcnn_resnet50_fpn_v2", "backbone": "resnet18", "width_multiplier": 0.03125, "norm": "group", "detection": {"min_size": [40, 48], "max_size": 80, "anchor_sizes": [8, 16, 24, 32, 48], "rpn_post_nms_train": 60, "rpn_post_nms_test": 30, "box_samples": 24, "max_detections": 10, "aligned": true, "sampling_ratio": 0, "rounded_anchors": false, "smooth_l1_beta": 0}})",
    R"({"name": "fasterrcnn_resnet50_fpn", "width_multiplier": 0.03125, "norm": "group", "detection": {"min_size": [48], "max_size": 80, "anchor_sizes": [8, 16, 24, 32, 48], "rpn_post_nms_train": 60, "rpn_post_nms_test": 30, "box_samples": 24, "max_detections": 10}})",
    R"({"name": "fasterrcnn_resnet50_fpn_v2", "backbone": "resnet34", "width_multiplier": 0.03125, "norm": "group", "detection": {"min_size": [48], "max_size": 80, "anchor_sizes": [8, 16, 24, 32, 48], "rpn_post_nms_train": 60, "rpn_post_nms_test": 30, "box_samples": 24, "max_detections": 10}})",
    R"({"name": "maskrcnn_resnet50_fpn", "backbone": "efficientnet_lite0", "width_multiplier": 0.03125, "norm": "frozen", "detection": {"min_size": [48], "max_size": 80, "anchor_sizes": [8, 16, 24, 32, 48], "rpn_post_nms_train": 60, "rpn_post_nms_test": 30, "box_samples": 24, "max_detections": 10}})",
    R"({"name": "fasterrcnn_resnet50_fpn", "backbone": "mobilenet_v3_large", "width_multiplier": 0.0625, "norm": "frozen", "detection": {"min_size": [48], "max_size": 80, "anchor_sizes": [8, 16, 24, 32, 48], "rpn_post_nms_train": 60, "rpn_post_nms_test": 30, "box_samples": 24, "max_detections": 10}})",
    R"({"name": "maskrcnn_resnet50_fpn", "backbone": "resnext50_32x4d", "width_multiplier": 0.03125, "norm": "frozen", "detection": {"min_size": [48], "max_size": 80, "anchor_sizes": [8, 16, 24, 32, 48], "rpn_post_nms_train": 60, "rpn_post_nms_test": 30, "box_samples": 24, "max_detections": 10}})",
    R"({"name": "fasterrcnn_vgg16", "width_multiplier": 0.03125, "dropout": 0, "detection": {"min_size": [48], "max_size": 80, "anchor_sizes": [16, 32, 48], "rpn_post_nms_train": 60, "rpn_post_nms_test": 30, "box_samples": 24, "max_detections": 10, "roi_op": "pool"}})",
};

inline nets::ModelOptions tiny_options(const std::string& model) {
  nets::ModelOptions o = train::parse_config("{\"model\": " + model + "}", model, {}).model;
  if (o.num_classes == 0) o.num_classes = 3;
  return o;
}

}  // namespace atrous::nets_test
