// torchvision's networks of a dilated backbone, a head, and an auxiliary FCN head on an earlier map:
// fcn_resnet50/101, deeplabv3_resnet50/101, deeplabv3_mobilenet_v3_large. Names: backbone.*, classifier.*,
// aux_classifier.{0,1,4}.
#include "nets/backbone.h"
#include "nets/heads.h"
#include "nets/networks.h"

namespace atrous::nets {
namespace {

using namespace layers;

// torchvision's DeepLabHead: ASPP (0), 3x3 with norm and ReLU (1, 2), 1x1 scores (4). Its rates stay 12, 24
// and 36 at every output stride.
class DeepLabHead : public Head {
 public:
  DeepLabHead(int64_t in, const ModelOptions& o) {
    const int64_t channels = scaled_width(256, o.width_multiplier);
    AsppOptions aspp{.in = in, .channels = channels, .norm = o.norm, .dropout = o.dropout_or(0.5)};
    if (!o.rates.empty()) aspp.rates = o.rates;
    aspp_ = register_module<Aspp>("0", aspp);
    conv_ = conv_norm("1", "2", {.in = channels, .out = channels, .pad = 1}, o.norm);
    score_ = register_module<Conv2d>("4", Conv2dArgs{.in = channels, .out = o.num_classes, .kernel = 1});
  }
  Variable forward(const Variable& x) const override {
    const ModuleScope scope(name());
    return score_->forward(conv_(aspp_->forward(x)));
  }
  std::string kind() const override { return "DeepLabHead"; }

 private:
  std::shared_ptr<Aspp> aspp_;
  ConvNorm conv_;
  std::shared_ptr<Conv2d> score_;
};

class BackboneAndHead : public SegmentationModel {
 public:
  // `o.name` consists of the name of a head and, behind the first "_", that of a backbone.
  explicit BackboneAndHead(const ModelOptions& o) : classes_(o.num_classes), in_channels_(o.in_channels) {
    const std::string backbone_name = o.name.substr(o.name.find('_') + 1);
    const bool mobile = backbone_name.starts_with("mobilenet");
    BackboneOptions b = backbone_options(o, backbone_name.c_str(), mobile ? 16 : 8);
    b.uniform_dilation = mobile;  // torchvision's ResNets and MobileNets differ in this
    output_stride_ = b.output_stride;
    backbone_ = make_backbone(b);
    add_child("backbone", backbone_);
    const int64_t in = backbone_->channels(5);
    if (o.name.starts_with("fcn_")) {
      classifier_ = std::make_shared<FcnHead>(in, classes_, o.norm, o.dropout_or(0.1));
    } else {
      classifier_ = std::make_shared<DeepLabHead>(in, o);
    }
    add_child("classifier", classifier_);
    if (o.aux_loss) {
      auxiliary_map_ = mobile ? 3 : 4;
      auxiliary_ = register_module<FcnHead>("aux_classifier", backbone_->channels(auxiliary_map_), classes_,
                                            o.norm, o.dropout_or(0.1));
    }
    kind_ = fmt::format("{} {}", classifier_->kind(), backbone_name);
  }

  SegmentationOutput forward(const Variable& image) override {
    const std::vector<Variable> maps = backbone_->forward(image);
    const Variable logits = classifier_->forward(maps[5]);
    if (!auxiliary_) return whole_image(image, logits);
    return whole_image(image, logits, auxiliary_->forward(maps[auxiliary_map_]));
  }

  int64_t num_classes() const override { return classes_; }
  int64_t in_channels() const override { return in_channels_; }
  int64_t output_stride() const override { return output_stride_; }
  std::string backbone_prefix() const override { return "backbone."; }
  std::string kind() const override { return kind_; }

 private:
  const int64_t classes_, in_channels_;
  int64_t output_stride_ = 0;
  size_t auxiliary_map_ = 0;
  std::string kind_;
  std::shared_ptr<Backbone> backbone_;
  std::shared_ptr<Head> classifier_, auxiliary_;
};

}  // namespace

ModelPtr build_torchvision_segmentation(const ModelOptions& options) {
  return std::make_shared<BackboneAndHead>(options);
}

}  // namespace atrous::nets
