#include "layers/pointwise.h"
#include "layers/resize.h"
#include "layers/trace.h"
#include "nets/fcn.h"
#include "nets/resnet.h"

namespace atrous::nets {
namespace {

using namespace layers;

// Logits and auxiliary logits that describe the whole image.
SegmentationOutput whole_image(const Variable& logits, const Variable& aux, const Variable& image) {
  SegmentationOutput result;
  result.logits = logits;
  result.aux = aux;
  result.region = {0, 0, image.dim(1), image.dim(2)};
  return result;
}

class FcnResNet : public SegmentationModel {
 public:
  explicit FcnResNet(const FcnResNetOptions& o) : options_(o) {
    backbone_ = register_module<ResNet>(
        "backbone",
        ResNetOptions{.layers = o.layers, .in_channels = o.in_channels, .norm = o.norm, .dilate = {}});
    for (int stage = 3; int64_t{4} << stage >= o.stride; --stage) {
      scores_.push_back(register_module<Conv2d>(
          fmt::format("score{}", stage + 2),
          Conv2dArgs{
              .in = backbone_->channels(stage), .out = o.num_classes, .kernel = 1, .init = Init::zeros}));
    }
  }

  SegmentationOutput forward(const Variable& image) override {
    const std::array<Variable, 4> features = backbone_->forward(image);
    Variable x = scores_[0]->forward(features[3]);
    for (size_t i = 1; i < scores_.size(); ++i) {
      const BranchScope branch;
      const Variable lateral = scores_[i]->forward(features[3 - i]);
      x = add(resize(x, {.height = lateral.dim(1),
                         .width = lateral.dim(2),
                         .mode = ResizeMode::bilinear,
                         .align_corners = false}),
              lateral);
    }
    return whole_image(x, {}, image);
  }

  int64_t num_classes() const override { return options_.num_classes; }
  int64_t in_channels() const override { return options_.in_channels; }
  int64_t output_stride() const override { return 32; }
  std::string backbone_prefix() const override { return "backbone."; }
  std::string kind() const override { return fmt::format("FCN-{}s", options_.stride); }

 private:
  const FcnResNetOptions options_;
  std::shared_ptr<ResNet> backbone_;
  std::vector<std::shared_ptr<Conv2d>> scores_;  // of layer4, layer3, layer2
};

// torchvision's FCNHead: 3x3 to a quarter of the channels with norm and ReLU (0, 1, 2), dropout (3), 1x1 (4).
class FcnHead : public Block {
 public:
  FcnHead(int64_t in, int64_t classes, const DilatedFcnOptions& o)
      : conv_(conv_norm("0", "1", {.in = in, .out = in / 4, .kernel = 3, .pad = 1}, o.norm)),
        dropout_(register_module<Dropout>("3", o.dropout)),
        score_(register_module<Conv2d>("4", Conv2dArgs{.in = in / 4, .out = classes, .kernel = 1})) {}
  Variable forward(const Variable& x) const {
    const ModuleScope scope(name());
    return score_->forward(dropout_->forward(conv_(x)));
  }
  std::string kind() const override { return "FCNHead"; }

 private:
  ConvNorm conv_;
  std::shared_ptr<Dropout> dropout_;
  std::shared_ptr<Conv2d> score_;
};

class DilatedFcn : public SegmentationModel {
 public:
  explicit DilatedFcn(const DilatedFcnOptions& o) : options_(o) {
    backbone_ = register_module<ResNet>(
        "backbone", ResNetOptions{.layers = o.layers,
                                  .in_channels = o.in_channels,
                                  .norm = o.norm,
                                  .dilate = {false, o.output_stride <= 8, o.output_stride <= 16}});
    classifier_ = register_module<FcnHead>("classifier", backbone_->channels(3), o.num_classes, o);
    if (o.aux) aux_ = register_module<FcnHead>("aux_classifier", backbone_->channels(2), o.num_classes, o);
  }

  SegmentationOutput forward(const Variable& image) override {
    const std::array<Variable, 4> features = backbone_->forward(image);
    const Variable logits = classifier_->forward(features[3]);
    if (!aux_) return whole_image(logits, {}, image);
    const BranchScope branch;
    return whole_image(logits, aux_->forward(features[2]), image);
  }

  int64_t num_classes() const override { return options_.num_classes; }
  int64_t in_channels() const override { return options_.in_channels; }
  int64_t output_stride() const override { return options_.output_stride; }
  std::string backbone_prefix() const override { return "backbone."; }
  std::string kind() const override { return fmt::format("FCN-ResNet{}", options_.layers); }

 private:
  const DilatedFcnOptions options_;
  std::shared_ptr<ResNet> backbone_;
  std::shared_ptr<FcnHead> classifier_, aux_;
};

}  // namespace

std::shared_ptr<SegmentationModel> make_fcn_resnet(const FcnResNetOptions& options) {
  return std::make_shared<FcnResNet>(options);
}

std::shared_ptr<SegmentationModel> make_dilated_fcn(const DilatedFcnOptions& options) {
  return std::make_shared<DilatedFcn>(options);
}

}  // namespace atrous::nets
