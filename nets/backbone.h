// Backbones: networks that turn an image into feature maps of falling resolution.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "layers/modules.h"
#include "nets/model_options.h"

namespace atrous::nets {

struct BackboneOptions {
  std::string name = "resnet50";  // one of backbone_names()
  int64_t in_channels = 3;
  double width_multiplier = 1;
  layers::NormKind norm = layers::NormKind::batch;
  // Input pixels per pixel of the last map: strides beyond it become dilation (Chen et al., "Rethinking
  // atrous convolution", arXiv:1706.05587, section 3.1). 32, 16 or 8.
  int64_t output_stride = 32;
  // The first block of a stage whose stride became dilation: keeps the rate of the stage before
  // (false; torchvision), or has the new rate like the others (true; the PSPNet and DeepLab papers' code).
  // The weights fit both; the logits differ.
  bool uniform_dilation = false;
  std::vector<int64_t> multi_grid;  // factors of the rates of the last stage's blocks; empty: ones
  StemKind stem = StemKind::plain;  // ResNets
  // MobileNets: the 1x1 convolution behind the last block (MobileNetV2: 320 to 1280 channels). DeepLab on
  // MobileNetV2 omits it. EfficientNets: the weights of map 6.
  bool last_conv = true;
  std::optional<double> norm_eps;           // of the norms; unset: the backbone's default
  std::optional<ConvPadding> conv_padding;  // EfficientNets; unset: tensorflow
  // EfficientNets: probability with which training leaves out the last block; it rises linearly from 0.
  double drop_path = 0;
};

class Backbone : public layers::Block {
 public:
  // [i] has 2^i image pixels per pixel where strides were kept: [1] stride 2 ... [5] stride 32. Dilated
  // stages stay at the output stride. [0] is the image, or features at its resolution (VGG). Stages behind
  // map `last`, 2 to 5, do not run. [6]: EfficientNets' 1x1 convolution behind map 5, which only their
  // classifier runs; segmentation_models_pytorch's weights have it nevertheless.
  std::vector<Variable> forward(const Variable& image, size_t last = 5) const {
    const ModuleScope scope(name());
    return maps(image, last);
  }
  // Channels of map i, 0 ... 5 or 6.
  int64_t channels(size_t i) const { return channels_.at(i); }

 protected:
  virtual std::vector<Variable> maps(const Variable& image, size_t last) const = 0;
  std::vector<int64_t> channels_;
};

std::vector<std::string> backbone_names();
// Error(config), with the names, unless it is one of them.
void check_backbone_name(const std::string& name);
// Error(config) for an unknown name, or options that the backbone does not support.
std::shared_ptr<Backbone> make_backbone(const BackboneOptions& options);
// The options of a network's backbone: name (or `default_name`), channels, width, norm, stem, output stride
// (or the default). Error(config) for a norm of a backbone that has none.
BackboneOptions backbone_options(const ModelOptions& model, const char* default_name,
                                 int64_t default_output_stride = 32);
// Error(config) if the config gives a norm to a network without any; `what` names it. (model.norm is "batch"
// if it was not given.)
void refuse_norms(const ModelOptions& model, const std::string& what);

// One per family, for make_backbone.
std::shared_ptr<Backbone> make_resnet(const BackboneOptions& options);
std::shared_ptr<Backbone> make_vgg(const BackboneOptions& options);
std::shared_ptr<Backbone> make_mobilenet_v2(const BackboneOptions& options);
std::shared_ptr<Backbone> make_mobilenet_v3(const BackboneOptions& options);
std::shared_ptr<Backbone> make_efficientnet(const BackboneOptions& options);
std::shared_ptr<Backbone> make_xception(const BackboneOptions& options);

// Which strides are kept and which become dilation, block by block from the stem on.
class DilationPlan {
 public:
  // `stride`: that of the stem.
  DilationPlan(const BackboneOptions& options, int64_t stride);
  struct Step {
    int64_t stride, dilation;
  };
  // The step of the next block, whose stride is 1 or 2 without a limit.
  Step next(int64_t stride);

 private:
  const int64_t output_stride_;
  const bool uniform_;
  int64_t stride_, rate_ = 1;
};

// channels * multiplier, rounded, at least 1.
int64_t scaled_width(int64_t channels, double multiplier);
// The same in steps of 8 and never more than a tenth below: torchvision's _make_divisible, for MobileNets.
int64_t divisible_width(int64_t channels, double multiplier);
// 2-based logarithm of an output stride of 8, 16 or 32: the first map that has it. Error(config) naming
// `where` for others.
size_t stride_level(const std::string& where, int64_t output_stride);

}  // namespace atrous::nets
