// torchvision's lraspp_mobilenet_v3_large: "Lite R-ASPP" of MobileNetV3's paper (arXiv:1905.02244,
// section 6.4). On the last map a 1x1 convolution, scaled channel by channel by numbers in (0, 1) that a 1x1
// convolution makes of the mean over the image; resized to the map of stride 8; the scores of both are added.
// Names: backbone.*, classifier.{cbr.0, cbr.1, scale.1, low_classifier, high_classifier}.
#include "layers/adaptive_avg_pool2d.h"
#include "layers/pointwise.h"
#include "layers/resize.h"
#include "nets/backbone.h"
#include "nets/networks.h"

namespace atrous::nets {
namespace {

using namespace layers;

class LrasppHead : public Block {
 public:
  LrasppHead(int64_t low, int64_t high, const ModelOptions& o) {
    const int64_t inner = scaled_width(128, o.width_multiplier);
    const Conv2dArgs one{.in = high, .out = inner, .kernel = 1, .bias = false};
    features_ = register_module<Features>("cbr", one, o.norm);
    scale_ = register_module<Scale>("scale", one);
    low_ =
        register_module<Conv2d>("low_classifier", Conv2dArgs{.in = low, .out = o.num_classes, .kernel = 1});
    high_ = register_module<Conv2d>("high_classifier",
                                    Conv2dArgs{.in = inner, .out = o.num_classes, .kernel = 1});
  }
  Variable forward(const Variable& low, const Variable& high) const {
    const ModuleScope scope(name());
    const Variable x = resize(mul(features_->forward(high), scale_->forward(high)),
                              {.height = low.dim(1), .width = low.dim(2), .mode = ResizeMode::bilinear});
    const Variable scores = high_->forward(x);
    return add(low_->forward(low), scores);
  }
  std::string kind() const override { return "LRASPPHead"; }

 private:
  struct Features : Block {
    Features(const Conv2dArgs& args, NormKind norm) : conv(conv_norm("0", "1", args, norm)) {}
    Variable forward(const Variable& x) const {
      const ModuleScope scope(name());
      return conv(x);
    }
    std::string kind() const override { return "Sequential"; }
    ConvNorm conv;
  };
  struct Scale : Block {
    explicit Scale(const Conv2dArgs& args) : conv(register_module<Conv2d>("1", args)) {}
    Variable forward(const Variable& x) const {
      const ModuleScope scope(name());
      return sigmoid(conv->forward(global_avg_pool2d(x)));
    }
    std::string kind() const override { return "Sequential"; }
    std::shared_ptr<Conv2d> conv;
  };
  std::shared_ptr<Features> features_;
  std::shared_ptr<Scale> scale_;
  std::shared_ptr<Conv2d> low_, high_;
};

class Lraspp : public SegmentationModel {
 public:
  explicit Lraspp(const ModelOptions& o)
      : classes_(o.num_classes), in_channels_(o.in_channels), output_stride_(o.output_stride_or(16)) {
    BackboneOptions b = backbone_options(o, "mobilenet_v3_large", 16);
    b.uniform_dilation = true;
    backbone_ = make_backbone(b);
    add_child("backbone", backbone_);
    head_ = register_module<LrasppHead>("classifier", backbone_->channels(3), backbone_->channels(5), o);
  }

  SegmentationOutput forward(const Variable& image) override {
    const std::vector<Variable> maps = backbone_->forward(image);
    return whole_image(image, head_->forward(maps[3], maps[5]));
  }

  int64_t num_classes() const override { return classes_; }
  int64_t in_channels() const override { return in_channels_; }
  int64_t output_stride() const override { return output_stride_; }
  std::string backbone_prefix() const override { return "backbone."; }
  std::string kind() const override { return "LR-ASPP"; }

 private:
  const int64_t classes_, in_channels_, output_stride_;
  std::shared_ptr<Backbone> backbone_;
  std::shared_ptr<LrasppHead> head_;
};

}  // namespace

ModelPtr build_lraspp(const ModelOptions& options) {
  return std::make_shared<Lraspp>(options);
}

}  // namespace atrous::nets
