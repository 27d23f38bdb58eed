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

class DeepLabV3 : public DeepLab {
 public:
  explicit DeepLabV3(const ModelOptions& o) : DeepLab(o, backbone_of(o)) {
    AsppOptions aspp = deeplab_aspp(o, backbone_->channels(5), output_stride());
    if (!smp_ && o.rates.empty() && o.backbone == "mobilenet_v2") aspp.rates.clear();
    if (smp_) {
      context_ = register_module<AsppAndConv>("decoder", aspp);
    } else {
      context_ = register_module<Aspp>("aspp", aspp);
    }
    classifier_ = make_classifier(aspp.channels);
  }

  SegmentationOutput forward(const Variable& image) override {
    const Variable deep = backbone_->forward(image)[5];
    return whole_image(image, classifier_->forward(context_->forward(deep)), {}, align_corners_);
  }
  std::string kind() const override { return "DeepLab v3"; }

 private:
  std::shared_ptr<Head> context_, classifier_;
};

}  // namespace

ModelPtr build_deeplabv3(const ModelOptions& options) {
  return std::make_shared<DeepLabV3>(options);
}

}  // namespace atrous::nets
