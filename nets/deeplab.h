// What the members of the DeepLab family share.
#pragma once

#include "nets/backbone.h"
#include "nets/heads.h"

namespace atrous::nets {

// Whether `form` asks for the network of segmentation_models_pytorch instead of the paper's. Error(config)
// for other forms.
bool is_smp_form(const ModelOptions& model);

// The backbone, by default resnet50 at `default_output_stride`; all blocks of a dilated stage have its rate,
// as in the authors' code and in smp. Its first map of the last resolution is maps[5].
BackboneOptions deeplab_backbone(const ModelOptions& model, int64_t default_output_stride);

// ASPP on that backbone with 256 channels. The paper's rates see the same part of the image at every output
// stride: 6, 12, 18 at 16, doubled at 8. The mean over the image comes first in the paper's concatenation.
AsppOptions deeplab_aspp(const ModelOptions& model, int64_t in_channels, int64_t output_stride);

// Scores alone, as child 0.
class ScoreHead : public Head {
 public:
  ScoreHead(int64_t in, int64_t classes)
      : score_(register_module<layers::Conv2d>("0",
                                               layers::Conv2dArgs{.in = in, .out = classes, .kernel = 1})) {}
  Variable forward(const Variable& x) const override {
    const ModuleScope scope(name());
    return score_->forward(x);
  }
  std::string kind() const override { return "Sequential"; }

 private:
  std::shared_ptr<layers::Conv2d> score_;
};

}  // namespace atrous::nets
