// DeepLab v3 (Chen, Papandreou, Schroff, Adam, "Rethinking atrous convolution for semantic image
// segmentation", arXiv:1706.05587, section 3.3): ASPP with the mean over the image on a dilated ResNet whose
// last three blocks have the rates of a multi-grid of (1, 2, 4), then scores; nothing between. Output stride
// 16 with rates 6, 12, 18 for training, 8 with twice those for evaluation. All resizing has align_corners.
// torchvision's form, which differs, is deeplabv3_resnet50.
//
// On MobileNetV2 ASPP has no rates, only the 1x1 convolution and the mean (Sandler et al.,
// arXiv:1801.04381, section 6.3), unless the config gives some.
//
// Names: backbone.*, aspp.{convs,project}.*, classifier.0. Form "smp" is segmentation_models_pytorch's:
// output stride 8 with rates 12, 24, 36, no multi-grid, dropout 0.5, and a 3x3 convolution behind ASPP.
// Names: encoder.*, decoder.aspp.{convs,project}.*, decoder.{conv,bn}, segmentation_head.0.
#include "layers/trace.h"
#include "nets/deeplab.h"
#include "nets/networks.h"

namespace atrous::nets {
namespace {

using namespace layers;

// smp's: ASPP, and a 3x3 convolution with norm and ReLU.
class AsppAndConv : public Head {
 public:
  explicit AsppAndConv(const AsppOptions& o)
      : aspp_(register_module<Aspp>("aspp", o)),
        conv_(conv_norm("conv", "bn", {.in = o.channels, .out = o.channels, .pad = 1}, o.norm)) {}
  Variable forward(const Variable& x) const override {
    const ModuleScope scope(name());
    return conv_(aspp_->forward(x));
  }
  std::string kind() const override { return "DeepLabV3Decoder"; }

 private:
  std::shared_ptr<Aspp> aspp_;
  ConvNorm conv_;
};

BackboneOptions backbone_of(const ModelOptions& o) {
  BackboneOptions b = deeplab_backbone(o, is_smp_form(o) ? 8 : 16);
  const bool three_blocks = b.name.starts_with("res") && b.name != "resnet18";  // in the last stage
  if (b.multi_grid.empty() && three_blocks && !is_smp_form(o)) b.multi_grid = {1, 2, 4};
  return b;
}

class DeepLabV3 : public SegmentationModel {
 public:
  explicit DeepLabV3(const ModelOptions& o)
      : classes_(o.num_classes), in_channels_(o.in_channels), align_corners_(o.align_corners.value_or(true)) {
    const bool smp = is_smp_form(o);
    const BackboneOptions b = backbone_of(o);
    output_stride_ = b.output_stride;
    backbone_ = make_backbone(b);
    add_child(smp ? "encoder" : "backbone", backbone_);
    AsppOptions aspp = deeplab_aspp(o, backbone_->channels(5), output_stride_);
    if (!smp && o.rates.empty() && b.name == "mobilenet_v2") aspp.rates.clear();
    if (smp) {
      context_ = register_module<AsppAndConv>("decoder", aspp);
    } else {
      context_ = register_module<Aspp>("aspp", aspp);
    }
    classifier_ =
        register_module<ScoreHead>(smp ? "segmentation_head" : "classifier", aspp.channels, classes_);
  }

  SegmentationOutput forward(const Variable& image) override {
    const Variable deep = backbone_->forward(image)[5];
    return whole_image(image, classifier_->forward(context_->forward(deep)), {}, align_corners_);
  }

  int64_t num_classes() const override { return classes_; }
  int64_t in_channels() const override { return in_channels_; }
  int64_t output_stride() const override { return output_stride_; }
  std::string backbone_prefix() const override { return backbone_->name() + "."; }
  std::string kind() const override { return "DeepLab v3"; }

 private:
  const int64_t classes_, in_channels_;
  const bool align_corners_;
  int64_t output_stride_ = 0;
  std::shared_ptr<Backbone> backbone_;
  std::shared_ptr<Head> context_, classifier_;
};

}  // namespace

ModelPtr build_deeplabv3(const ModelOptions& options) {
  return std::make_shared<DeepLabV3>(options);
}

}  // namespace atrous::nets
