// Parts that the members of the DeepLab family share.
#pragma once

#include "layers/segmentation_model.h"
#include "nets/backbone.h"
#include "nets/heads.h"
#include "nets/smp.h"

namespace atrous::nets {

// The backbone, by default resnet50 at `default_output_stride`; all blocks of a dilated stage have its rate,
// as in the authors' code and in smp. Its first map of the last resolution is maps[5].
BackboneOptions deeplab_backbone(const ModelOptions& model, int64_t default_output_stride);

// ASPP on that backbone with 256 channels. The paper's rates cover the same part of the image at every output
// stride: 6, 12, 18 at 16, doubled at 8. The mean over the image comes first in the paper's concatenation.
AsppOptions deeplab_aspp(const ModelOptions& model, int64_t in_channels, int64_t output_stride);

// The base of every DeepLab v3 and v3+: a dilated backbone, "backbone" or smp's "encoder", whose scores are
// resized to the image, by default with align_corners.
class DeepLab : public layers::SegmentationModel {
 public:
  int64_t num_classes() const override { return classes_; }
  int64_t in_channels() const override { return in_channels_; }
  int64_t output_stride() const override { return output_stride_; }
  std::string backbone_prefix() const override { return backbone_->name() + "."; }

 protected:
  DeepLab(const ModelOptions& model, const BackboneOptions& options);
  // As child `classifier`, or smp's `segmentation_head`.
  std::shared_ptr<ScoreHead> make_classifier(int64_t in);

  const bool smp_, align_corners_;
  const int64_t classes_;
  const std::shared_ptr<Backbone> backbone_;

 private:
  const int64_t in_channels_, output_stride_;
};

}  // namespace atrous::nets
