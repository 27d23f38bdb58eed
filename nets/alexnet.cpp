// AlexNet (Krizhevsky, Sutskever, Hinton: "ImageNet classification with deep convolutional neural networks",
// NIPS 2012) in two forms.
//
// The default is torchvision's, of Krizhevsky: "One weird trick for parallelizing convolutional neural
// networks" (arXiv:1404.5997): 64, 192, 384, 256 and 256 channels, no response normalisation. 61,100,840
// parameters. Names: features.{0,3,6,8,10}, classifier.{1,4,6}.
//
// "caffe" has the paper's 96, 256, 384, 384 and 256 channels, of which convolutions 2, 4 and 5 are in two
// groups (the halves of its two GPUs), and local response normalisation behind the first two pools (the paper
// has it before them; Caffe's reference model swapped both). 60,965,224 parameters. Names: conv1 ...
// conv5, fc6, fc7, fc8; images of 227x227 give the 6x6 of fc6, other sizes are averaged to it.
#include "layers/adaptive_avg_pool2d.h"
#include "layers/local_response_norm.h"
#include "layers/max_pool2d.h"
#include "layers/pointwise.h"
#include "nets/backbone.h"
#include "nets/heads.h"
#include "nets/image_classifier.h"
#include "nets/networks.h"

namespace atrous::nets {
namespace {

using namespace layers;

constexpr int64_t map_side = 6;  // of the map before the fully connected layers

class Layers : public Block {
 public:
  std::shared_ptr<Conv2d> conv(const std::string& child, const Conv2dArgs& args) {
    return register_module<Conv2d>(child, args);
  }
  std::shared_ptr<Linear> linear(const std::string& child, int64_t in, int64_t out, Init init) {
    return register_module<Linear>(child, in, out, /*with_bias=*/true, init);
  }
  std::shared_ptr<Dropout> dropout(const std::string& child, double p) {
    return register_module<Dropout>(child, p);
  }
  std::string kind() const override { return "Sequential"; }
};

class AlexNet : public ImageClassifier {
 public:
  explicit AlexNet(const ModelOptions& o)
      : ImageClassifier(o, {.smallest = is_caffe(o) ? 67 : 63}, 32), caffe_(is_caffe(o)) {
    // Layers of the "caffe" form are children of the network itself.
    features_ = register_module<Layers>(caffe_ ? "" : "features");
    caffe_ ? add_caffe_features(o) : add_torchvision_features(o);
    top_ = caffe_ ? features_ : register_module<Layers>("classifier");
    const int64_t wide = scaled_width(4096, o.width_multiplier);
    const int64_t in = convs_.back()->args.out * map_side * map_side;
    const double p = o.dropout_or(0.5);
    const Init init = caffe_ ? Init::normal_hundredth : Init::uniform_fan_in;
    dropouts_[0] = top_->dropout(caffe_ ? "drop6" : "0", p);
    linears_[0] = top_->linear(caffe_ ? "fc6" : "1", in, wide, init);
    dropouts_[1] = top_->dropout(caffe_ ? "drop7" : "3", p);
    linears_[1] = top_->linear(caffe_ ? "fc7" : "4", wide, wide, init);
    linears_[2] = top_->linear(caffe_ ? "fc8" : "6", wide, o.num_classes, init);
  }
  std::string kind() const override { return "AlexNet"; }

 protected:
  SegmentationOutput logits_of(const Variable& image) const override {
    Variable x = image;
    {
      const ModuleScope scope(features_->name());
      for (size_t i = 0; i < convs_.size(); ++i) {
        x = convs_[i]->forward(x, Activation::relu);
        if (i != 2 && i != 3) x = max_pool2d(x, Pool2dOptions::square(3, 2, 0, /*ceil_mode=*/caffe_));
        if (caffe_ && i < 2) x = local_response_norm(x, {.size = 5, .alpha = 1e-4, .beta = 0.75, .k = 1});
      }
    }
    const ModuleScope scope(top_->name());
    x = flatten_channels_first(adaptive_avg_pool2d(x, map_side, map_side));
    // torchvision has dropout before a layer, Caffe behind it.
    if (!caffe_) x = dropouts_[0]->forward(x);
    x = relu_(linears_[0]->forward(x));
    x = dropouts_[caffe_ ? 0 : 1]->forward(x);
    x = relu_(linears_[1]->forward(x));
    if (caffe_) x = dropouts_[1]->forward(x);
    SegmentationOutput result;
    result.logits = linears_[2]->forward(x);
    return result;
  }

 private:
  static bool is_caffe(const ModelOptions& o) { return o.form == NetworkForm::caffe; }

  void add_torchvision_features(const ModelOptions& o) {
    const auto width = [&](int64_t channels) { return scaled_width(channels, o.width_multiplier); };
    const auto add = [&](const char* child, const Conv2dArgs& args) {
      convs_.push_back(features_->conv(child, args));
    };
    add("0", {.in = o.in_channels, .out = width(64), .kernel = 11, .stride = 4, .pad = 2});
    add("3", {.in = width(64), .out = width(192), .kernel = 5, .pad = 2});
    add("6", {.in = width(192), .out = width(384), .pad = 1});
    add("8", {.in = width(384), .out = width(256), .pad = 1});
    add("10", {.in = width(256), .out = width(256), .pad = 1});
  }

  void add_caffe_features(const ModelOptions& o) {
    // Even, so that two groups divide them.
    const auto width = [&](int64_t channels) { return 2 * scaled_width(channels / 2, o.width_multiplier); };
    constexpr Init init = Init::normal_hundredth;
    const auto add = [&](const char* child, const Conv2dArgs& args) {
      convs_.push_back(features_->conv(child, args));
    };
    add("conv1", {.in = o.in_channels, .out = width(96), .kernel = 11, .stride = 4, .init = init});
    add("conv2", {.in = width(96), .out = width(256), .kernel = 5, .pad = 2, .groups = 2, .init = init});
    add("conv3", {.in = width(256), .out = width(384), .pad = 1, .init = init});
    add("conv4", {.in = width(384), .out = width(384), .pad = 1, .groups = 2, .init = init});
    add("conv5", {.in = width(384), .out = width(256), .pad = 1, .groups = 2, .init = init});
  }

  const bool caffe_;
  std::shared_ptr<Layers> features_, top_;
  std::vector<std::shared_ptr<Conv2d>> convs_;
  std::array<std::shared_ptr<Linear>, 3> linears_;
  std::array<std::shared_ptr<Dropout>, 2> dropouts_;
};

}  // namespace

ModelPtr build_alexnet(const ModelOptions& options) {
  refuse_norms(options, options.name);
  if (options.form && options.form != NetworkForm::caffe)
    fail(ErrorKind::config, "[model.form] of alexnet is \"caffe\" or empty. Got \"{}\". Leave it out.",
         name_of(*options.form));
  return std::make_shared<AlexNet>(options);
}

}  // namespace atrous::nets
