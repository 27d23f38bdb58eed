#include "nets/fpn.h"

#include "layers/pointwise.h"
#include "layers/resize.h"
#include "nets/efficientnet.h"
#include "nets/vgg.h"

namespace atrous::nets {

using namespace layers;

class FeaturePyramid::Level : public Block {
 public:
  Level(int64_t in, int64_t out, int64_t kernel, const NormOptions& norm)
      : conv_(conv_norm(
            "0", "1",
            {.in = in, .out = out, .kernel = kernel, .pad = kernel / 2, .init = Init::kaiming_uniform_linear},
            norm)) {}
  // The convolution, plus `residual` if it is given.
  Variable forward(const Variable& x, const Variable& residual = {}) const {
    const ModuleScope scope(name());
    return conv_(x, {.activation = Activation::none, .residual = residual});
  }
  std::string kind() const override { return "Conv2dNormActivation"; }

 private:
  ConvNorm conv_;
};

FeaturePyramid::FeaturePyramid(const std::vector<int64_t>& in_channels, int64_t channels,
                               const NormOptions& norm)
    : inner_(register_module<ModuleList<Level>>("inner_blocks")),
      layer_(register_module<ModuleList<Level>>("layer_blocks")) {
  for (const int64_t in : in_channels) {
    inner_->append(in, channels, 1, norm);
    layer_->append(channels, channels, 3, norm);
  }
}

std::vector<Variable> FeaturePyramid::forward(const std::vector<Variable>& maps) const {
  const ModuleScope scope(name());
  std::vector<Variable> levels(maps.size());
  Variable sum;
  for (size_t i = maps.size(); i-- > 0;) {
    const auto lateral = [&](const Variable& from_above) {
      const ModuleScope list(inner_->name());
      return inner_->items[i]->forward(maps[i], from_above);
    };
    if (!sum.defined()) {
      sum = lateral({});
    } else {
      sum = lateral(
          resize(sum, {.height = maps[i].dim(1), .width = maps[i].dim(2), .mode = ResizeMode::nearest}));
    }
    const ModuleScope list(layer_->name());
    levels[i] = layer_->items[i]->forward(sum);
  }
  levels.push_back(max_pool2d(levels.back(), Pool2dOptions::square(1, 2, 0)));
  return levels;
}

namespace {

class BackboneFpn : public DetectionBackbone {
 public:
  BackboneFpn(BackboneOptions body, int64_t channels, const NormOptions& norm) {
    if (find_efficientnet(body.name)) body.last_conv = false;  // of their classifier
    body_ = make_backbone(body);
    add_child("body", body_);
    fpn_ = register_module<FeaturePyramid>(
        "fpn",
        std::vector<int64_t>{body_->channels(2), body_->channels(3), body_->channels(4), body_->channels(5)},
        channels, norm);
    channels_ = channels;
    region_strides_ = {4, 8, 16, 32};
    strides_ = {4, 8, 16, 32, 64};
  }
  std::vector<Variable> forward(const Variable& image) const override {
    const ModuleScope scope(name());
    const std::vector<Variable> maps = body_->forward(image);
    return fpn_->forward({maps.begin() + 2, maps.end()});
  }

 private:
  std::shared_ptr<Backbone> body_;
  std::shared_ptr<FeaturePyramid> fpn_;
};

class VggMap : public DetectionBackbone {
 public:
  explicit VggMap(const BackboneOptions& body) : vgg_(make_vgg(body)) {
    add_child("", vgg_);
    channels_ = vgg_->channels(4);
    region_strides_ = strides_ = {16};
  }
  std::vector<Variable> forward(const Variable& image) const override {
    const ModuleScope scope(name());
    return {vgg_->forward(image)[4]};
  }
  std::string kind() const override { return "VGG"; }

 private:
  std::shared_ptr<Backbone> vgg_;
};

}  // namespace

std::shared_ptr<DetectionBackbone> make_fpn(const BackboneOptions& body, int64_t channels,
                                            const NormOptions& norm) {
  return std::make_shared<BackboneFpn>(body, channels, norm);
}

std::shared_ptr<DetectionBackbone> make_vgg_map(const BackboneOptions& body) {
  return std::make_shared<VggMap>(body);
}

}  // namespace atrous::nets
