// Base class of networks that classify whole images and are no backbone with a top.
#pragma once

#include "layers/modules.h"
#include "layers/segmentation_model.h"
#include "nets/model_options.h"

namespace atrous::nets {

class ImageClassifier : public layers::SegmentationModel {
 public:
  // Error(data) for images of other sides than the network takes.
  layers::SegmentationOutput forward(const Variable& image) final;

  int64_t num_classes() const override { return classes_; }
  int64_t in_channels() const override { return in_channels_; }
  int64_t output_stride() const override { return output_stride_; }
  bool labels_pixels() const override { return false; }
  layers::ImageSides image_sides() const override { return sides_; }

 protected:
  ImageClassifier(const ModelOptions& o, layers::ImageSides sides, int64_t output_stride)
      : classes_(o.num_classes), in_channels_(o.in_channels), output_stride_(output_stride), sides_(sides) {}
  // Logits [N, 1, 1, K], and those of auxiliary heads.
  virtual layers::SegmentationOutput logits_of(const Variable& image) const = 0;

 private:
  const int64_t classes_, in_channels_, output_stride_;
  const layers::ImageSides sides_;
};

// A convolution without bias, batch norm of eps 1e-3 and ReLU: "conv" and "bn" of torchvision's GoogLeNet and
// Inception v3.
class BasicConv : public layers::Block {
 public:
  BasicConv(const layers::Conv2dArgs& args, layers::NormKind norm)
      : conv_(conv_norm("conv", "bn", args, {norm, 1e-3})) {}
  Variable forward(const Variable& x) const {
    const ModuleScope scope(name());
    return conv_(x);
  }
  std::string kind() const override { return "BasicConv2d"; }

 private:
  layers::ConvNorm conv_;
};

// Images normalised by ImageNet's mean and standard deviation, normalised by 0.5 and 0.5 instead.
Variable normalised_by_half(const Variable& image);
// Error(config) if model.transform_input is set for other than 3 channels.
void check_transform_input(const ModelOptions& options);

}  // namespace atrous::nets
