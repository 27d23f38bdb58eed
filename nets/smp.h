// Code shared by the networks in the form of segmentation_models_pytorch (Iakubovskii, 2019; "smp").
#pragma once

#include <string>

#include "nets/model_options.h"

namespace atrous::nets {

// Whether `form` selects the network of segmentation_models_pytorch instead of the paper's. Error(config)
// for other forms.
bool is_smp_form(const ModelOptions& model);

// The name of such a network's backbone: "encoder", and "encoder.features" for those whose classification
// network keeps them under "features" in torchvision (VGG, MobileNet).
std::string smp_encoder_name(const std::string& backbone);

}  // namespace atrous::nets
