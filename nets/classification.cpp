// Classification networks of torchvision, and timm's EfficientNets, under their names: a backbone and a few
// fully connected layers, so that ImageNet weights can be loaded, checked and saved whole. Logits are [N, 1,
// 1, K].
#include <algorithm>

#include "layers/adaptive_avg_pool2d.h"
#include "layers/pointwise.h"
#include "nets/backbone.h"
#include "nets/efficientnet.h"
#include "nets/heads.h"
#include "nets/networks.h"

namespace atrous::nets {
namespace {

using namespace layers;

class Top : public Block {
 public:
  virtual Variable forward(const Variable& features) const = 0;
  std::string kind() const override { return "Sequential"; }
};

// One layer on the mean of the image.
class ResNetTop : public Top {
 public:
  ResNetTop(int64_t in, const ModelOptions& o) : linear_(register_module<Linear>("", in, o.num_classes)) {}
  Variable forward(const Variable& x) const override {
    const ModuleScope scope(name());
    return linear_->forward(global_avg_pool2d(x));
  }

 private:
  std::shared_ptr<Linear> linear_;
};

// "0", "3" and "6" on 7x7 means of the image.
class VggTop : public Top {
 public:
  VggTop(int64_t in, const ModelOptions& o) {
    const int64_t wide = scaled_width(4096, o.width_multiplier);
    const auto linear = [&](const char* child, int64_t from, int64_t to) {
      return register_module<Linear>(child, from, to, /*with_bias=*/true, Init::normal_hundredth);
    };
    first_ = linear("0", in * 7 * 7, wide);
    dropout_ = register_module<Dropout>("2", o.dropout_or(0.5));
    second_ = linear("3", wide, wide);
    second_dropout_ = register_module<Dropout>("5", o.dropout_or(0.5));
    third_ = linear("6", wide, o.num_classes);
  }
  Variable forward(const Variable& x) const override {
    const ModuleScope scope(name());
    Variable y = flatten_channels_first(adaptive_avg_pool2d(x, 7, 7));
    y = dropout_->forward(relu_(first_->forward(y)));
    y = second_dropout_->forward(relu_(second_->forward(y)));
    return third_->forward(y);
  }

 private:
  std::shared_ptr<Linear> first_, second_, third_;
  std::shared_ptr<Dropout> dropout_, second_dropout_;
};

// One layer on the mean of the image, behind dropout.
class DropoutTop : public Top {
 public:
  DropoutTop(const char* dropout, const char* linear, int64_t in, double probability, int64_t classes)
      : dropout_(register_module<Dropout>(dropout, probability)),
        linear_(register_module<Linear>(linear, in, classes, /*with_bias=*/true, Init::normal_hundredth)) {}
  Variable forward(const Variable& x) const override {
    const ModuleScope scope(name());
    return linear_->forward(dropout_->forward(global_avg_pool2d(x)));
  }

 private:
  std::shared_ptr<Dropout> dropout_;
  std::shared_ptr<Linear> linear_;
};

// "0" and "3" on the mean of the image, hard swish and dropout between them.
class MobileNetV3Top : public Top {
 public:
  MobileNetV3Top(int64_t in, const ModelOptions& o) {
    const int64_t wide = divisible_width(o.name == "mobilenet_v3_small" ? 1024 : 1280, o.width_multiplier);
    first_ = register_module<Linear>("0", in, wide, /*with_bias=*/true, Init::normal_hundredth);
    dropout_ = register_module<Dropout>("2", o.dropout_or(0.2));
    second_ = register_module<Linear>("3", wide, o.num_classes, /*with_bias=*/true, Init::normal_hundredth);
  }
  Variable forward(const Variable& x) const override {
    const ModuleScope scope(name());
    return second_->forward(dropout_->forward(hard_swish(first_->forward(global_avg_pool2d(x)))));
  }

 private:
  std::shared_ptr<Linear> first_, second_;
  std::shared_ptr<Dropout> dropout_;
};

template <class T>
std::shared_ptr<Top> make_top(int64_t in, const ModelOptions& o) {
  return std::make_shared<T>(in, o);
}
std::shared_ptr<Top> make_mobilenet_v2_top(int64_t in, const ModelOptions& o) {
  return std::make_shared<DropoutTop>("0", "1", in, o.dropout_or(0.2), o.num_classes);
}
std::shared_ptr<Top> make_efficientnet_top(int64_t in, const ModelOptions& o) {
  const double published = find_efficientnet(o.name)->dropout;
  return std::make_shared<DropoutTop>("dropout", "", in, o.dropout_or(published), o.num_classes);
}

// The networks whose names begin so: the names of their parts, and the map that is classified.
struct Kind {
  std::string_view prefix;
  const char* features;
  const char* top;
  std::shared_ptr<Top> (*make_top)(int64_t in, const ModelOptions&);
  size_t map = 5;
};
constexpr Kind kinds[] = {
    {"res", "", "fc", make_top<ResNetTop>},
    {"vgg", "features", "classifier", make_top<VggTop>},
    {"mobilenet_v2", "features", "classifier", make_mobilenet_v2_top},
    {"mobilenet_v3", "features", "classifier", make_top<MobileNetV3Top>},
    {"efficientnet", "", "classifier", make_efficientnet_top, 6},
};
const Kind& kind_of(const std::string& name) {
  return *std::ranges::find_if(kinds, [&](const Kind& k) { return name.starts_with(k.prefix); });
}

class Classifier : public SegmentationModel {
 public:
  explicit Classifier(const ModelOptions& o)
      : classes_(o.num_classes),
        in_channels_(o.in_channels),
        output_stride_(o.output_stride_or(32)),
        name_(o.name),
        kind_(kind_of(o.name)) {
    backbone_ = make_backbone(backbone_options(o, o.name.c_str()));
    top_ = kind_.make_top(backbone_->channels(kind_.map), o);
    add_child(kind_.features, backbone_);
    add_child(kind_.top, top_);
  }

  SegmentationOutput forward(const Variable& image) override {
    SegmentationOutput result;
    result.logits = top_->forward(backbone_->forward(image, kind_.map)[kind_.map]);
    result.region = {0, 0, 1, 1};
    return result;
  }

  int64_t num_classes() const override { return classes_; }
  int64_t in_channels() const override { return in_channels_; }
  int64_t output_stride() const override { return output_stride_; }
  bool labels_pixels() const override { return false; }
  bool in_backbone(const std::string& tensor_name) const override {
    return !tensor_name.starts_with(top_->name() + ".");
  }
  std::string backbone_prefix() const override {
    return backbone_->name().empty() ? "" : backbone_->name() + ".";
  }
  std::string kind() const override { return name_; }

 private:
  const int64_t classes_, in_channels_, output_stride_;
  const std::string name_;
  const Kind& kind_;
  std::shared_ptr<Backbone> backbone_;
  std::shared_ptr<Top> top_;
};

}  // namespace

ModelPtr build_classifier(const ModelOptions& options) {
  if (options.name == "vgg16" || options.name == "vgg19") refuse_norms(options, options.name);
  return std::make_shared<Classifier>(options);
}

}  // namespace atrous::nets
