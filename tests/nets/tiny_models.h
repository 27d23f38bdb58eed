// Every network in a form that is small enough to run in milliseconds: `model` sections of configs, at least
// one per name.
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
    R"({"name": "segnet", "width_multiplier": 0.03125})",
    R"({"name": "segnet", "form": "basic", "width_multiplier": 0.03125})",
    R"({"name": "fc_densenet", "layers": 56, "width_multiplier": 0.0625})",
    R"({"name": "fc_densenet", "width_multiplier": 0.0625})",
    R"({"name": "fcn32s", "backbone": "resnet18", "width_multiplier": 0.0625})",
    R"({"name": "fcn16s", "backbone": "resnet50", "width_multiplier": 0.0625})",
    R"({"name": "fcn8s", "backbone": "resnet18", "width_multiplier": 0.0625})",
    R"({"name": "fcn_resnet50", "width_multiplier": 0.03125, "aux_loss": true})",
    R"({"name": "fcn_resnet50", "width_multiplier": 0.03125, "output_stride": 16, "stem": "deep"})",
    R"({"name": "fcn_resnet101", "width_multiplier": 0.03125})",
    R"({"name": "deeplabv3_resnet50", "width_multiplier": 0.03125, "aux_loss": true})",
    R"({"name": "deeplabv3_resnet101", "width_multiplier": 0.03125, "output_stride": 16, "rates": [2, 4]})",
    R"({"name": "pspnet", "backbone": "resnet18", "width_multiplier": 0.0625, "aux_loss": true})",
    R"({"name": "pspnet", "width_multiplier": 0.03125, "stem": "plain", "output_stride": 16})",
};

inline nets::ModelOptions tiny_options(const std::string& model) {
  nets::ModelOptions o = train::parse_config("{\"model\": " + model + "}", model, {}).model;
  if (o.num_classes == 0) o.num_classes = 3;
  return o;
}

}  // namespace atrous::nets_test
