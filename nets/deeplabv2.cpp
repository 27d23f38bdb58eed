// DeepLab v1 (Chen, Papandreou, Kokkinos, Murphy, Yuille, "Semantic image segmentation with deep
// convolutional nets and fully connected CRFs", arXiv:1412.7062, section 4, LargeFOV) and v2 ("DeepLab:
// semantic image segmentation with deep convolutional nets, atrous convolution, and fully connected CRFs",
// arXiv:1606.00915, sections 3 and 4.1). The CRF is a separate step after any network: `atrous crf`.
//
// deeplabv1: VGG16 whose pools have 3x3 pixels and whose last two keep the resolution; fc6, a 3x3 convolution
// of rate 12 to 1024 channels, fc7, a 1x1 one, each with ReLU and dropout; fc8, the scores, at stride 8.
// deeplabv2 on VGG16 (ASPP-L): four such branches of rates 6, 12, 18, 24, whose scores are added. On a
// ResNet: four 3x3 convolutions of those rates from the last map to scores, added; all blocks of a dilated
// stage have its rate.
//
// With input_scales deeplabv2 scores the image at several sizes; the score of a pixel is the largest of all
// sizes. The loss is that of the fused scores plus that of each size by itself.
//
// The papers' inputs have extents of 8n + 1, their logits n + 1, and all resizing of logits has
// align_corners.
//
// Names: features.* (as torchvision's VGG16), fc6, fc7, fc8, in v2 fc6_1 ... fc8_4; backbone.*, aspp.c0 ...
// aspp.c3.
#include <cmath>

#include "layers/pointwise.h"
#include "layers/resize.h"
#include "nets/deeplab.h"
#include "nets/networks.h"
#include "nets/vgg.h"

namespace atrous::nets {
namespace {

using namespace layers;

// From the image to scores.
class Scorer : public Block {
 public:
  virtual Variable forward(const Variable& image) const = 0;
  virtual std::string backbone_prefix() const = 0;
};

// The sum of all `branch(i)`.
template <class Branch>
Variable sum_of_branches(size_t count, const Branch& branch) {
  Variable sum;
  for (size_t i = 0; i < count; ++i) {
    const Variable score = branch(i);
    sum = i == 0 ? score : add(sum, score);
  }
  return sum;
}

class VggScorer : public Scorer {
 public:
  VggScorer(const ModelOptions& o, const std::vector<int64_t>& rates) {
    features_ = register_module<VggFeatures>("features", VggOptions{.in_channels = o.in_channels,
                                                                    .width_multiplier = o.width_multiplier,
                                                                    .large_pools = true,
                                                                    .output_stride = o.output_stride_or(8)});
    const int64_t in = features_->channels(5), inner = scaled_width(1024, o.width_multiplier);
    const Init init = Init::kaiming_normal_fan_in;
    for (size_t i = 0; i < rates.size(); ++i) {
      const std::string suffix = rates.size() == 1 ? "" : fmt::format("_{}", i + 1);
      const auto conv = [&](const char* conv_name, const Conv2dArgs& args) {
        return register_module<Conv2d>(conv_name + suffix, args);
      };
      const auto drop = [&](const char* drop_name) {
        return register_module<Dropout>(drop_name + suffix, o.dropout_or(0.5));
      };
      Branch& b = branches_.emplace_back();
      b.fc6 = conv("fc6", {.in = in, .out = inner, .pad = rates[i], .dilation = rates[i], .init = init});
      b.drop6 = drop("drop6");
      b.fc7 = conv("fc7", {.in = inner, .out = inner, .kernel = 1, .init = init});
      b.drop7 = drop("drop7");
      b.fc8 = conv("fc8", {.in = inner, .out = o.num_classes, .kernel = 1, .init = Init::normal_hundredth});
    }
  }
  Variable forward(const Variable& image) const override {
    const Variable x = features_->forward(image)[5];
    return sum_of_branches(branches_.size(), [&](size_t i) {
      const Branch& b = branches_[i];
      const Variable y = b.drop6->forward(b.fc6->forward(x, Activation::relu));
      return b.fc8->forward(b.drop7->forward(b.fc7->forward(y, Activation::relu)));
    });
  }
  std::string backbone_prefix() const override { return "features."; }
  std::string kind() const override { return "VGG16"; }

 private:
  struct Branch {
    std::shared_ptr<Conv2d> fc6, fc7, fc8;
    std::shared_ptr<Dropout> drop6, drop7;
  };
  std::shared_ptr<VggFeatures> features_;
  std::vector<Branch> branches_;
};

class ResNetScorer : public Scorer {
 public:
  ResNetScorer(const ModelOptions& o, const std::vector<int64_t>& rates) {
    BackboneOptions b = deeplab_backbone(o, 8);
    b.name = o.backbone_or("resnet101");
    backbone_ = make_backbone(b);
    add_child("backbone", backbone_);
    scores_ = register_module<Scores>("aspp", backbone_->channels(5), o.num_classes, rates);
  }
  Variable forward(const Variable& image) const override {
    const Variable x = backbone_->forward(image)[5];
    const ModuleScope scope(scores_->name());
    return sum_of_branches(scores_->convs.size(), [&](size_t i) { return scores_->convs[i]->forward(x); });
  }
  std::string backbone_prefix() const override { return "backbone."; }
  std::string kind() const override { return backbone_->kind(); }

 private:
  struct Scores : Block {
    Scores(int64_t in, int64_t classes, const std::vector<int64_t>& rates) {
      for (size_t i = 0; i < rates.size(); ++i) {
        const Conv2dArgs args{
            .in = in, .out = classes, .pad = rates[i], .dilation = rates[i], .init = Init::normal_hundredth};
        convs.push_back(register_module<Conv2d>(fmt::format("c{}", i), args));
      }
    }
    std::string kind() const override { return "ASPP"; }
    std::vector<std::shared_ptr<Conv2d>> convs;
  };
  std::shared_ptr<Backbone> backbone_;
  std::shared_ptr<Scores> scores_;
};

class DeepLabV2 : public SegmentationModel {
 public:
  DeepLabV2(const char* kind, const ModelOptions& o, const std::shared_ptr<Scorer>& scorer)
      : classes_(o.num_classes),
        in_channels_(o.in_channels),
        output_stride_(o.output_stride_or(8)),
        align_corners_(o.align_corners.value_or(true)),
        input_scales_(o.input_scales),
        kind_(kind),
        scorer_(scorer) {
    for (const double s : input_scales_) {
      ATROUS_CHECK(s > 0 && s <= 4, ErrorKind::config,
                   "[model.input_scales] must be above 0 and at most 4. Got {}.", s);
    }
    add_child("", scorer_);
  }

  SegmentationOutput forward(const Variable& image) override {
    if (input_scales_.empty()) return whole_image(image, scorer_->forward(image), {}, align_corners_);
    std::vector<Variable> each;
    Variable fused;
    for (const double s : input_scales_) {
      each.push_back(scorer_->forward(scaled(image, s)));
      const Variable& own = each.back();
      fused = fused.defined() ? maximum(fused, resized(own, fused.dim(1), fused.dim(2))) : own;
    }
    SegmentationOutput output = whole_image(image, fused, {}, align_corners_);
    if (training() && each.size() > 1) output.more = each;
    return output;
  }

  int64_t num_classes() const override { return classes_; }
  int64_t in_channels() const override { return in_channels_; }
  int64_t output_stride() const override { return output_stride_; }
  std::string backbone_prefix() const override { return scorer_->backbone_prefix(); }
  std::string kind() const override { return kind_; }

 private:
  static Variable scaled(const Variable& image, double s) {
    if (s == 1) return image;
    const auto extent = [s](int64_t in) {
      return std::max<int64_t>(1, static_cast<int64_t>(std::floor(static_cast<double>(in) * s)));
    };
    return resize(image, {.height = extent(image.dim(1)),
                          .width = extent(image.dim(2)),
                          .mode = ResizeMode::bilinear,
                          .align_corners = false});
  }
  Variable resized(const Variable& scores, int64_t height, int64_t width) const {
    if (scores.dim(1) == height && scores.dim(2) == width) return scores;
    return resize(
        scores,
        {.height = height, .width = width, .mode = ResizeMode::bilinear, .align_corners = align_corners_});
  }

  const int64_t classes_, in_channels_, output_stride_;
  const bool align_corners_;
  const std::vector<double> input_scales_;
  const std::string kind_;
  std::shared_ptr<Scorer> scorer_;
};

}  // namespace

ModelPtr build_deeplabv1(const ModelOptions& o) {
  refuse_norms(o, "deeplabv1");
  const std::vector<int64_t> rates = o.rates.empty() ? std::vector<int64_t>{12} : o.rates;
  ATROUS_CHECK(rates.size() == 1, ErrorKind::config,
               "[model.rates] deeplabv1 has one, of fc6. Got {}. Use deeplabv2 for several.", rates.size());
  return std::make_shared<DeepLabV2>("DeepLab v1", o, std::make_shared<VggScorer>(o, rates));
}

ModelPtr build_deeplabv2(const ModelOptions& o) {
  const std::vector<int64_t> rates = o.rates.empty() ? std::vector<int64_t>{6, 12, 18, 24} : o.rates;
  const std::string backbone = o.backbone_or("resnet101");
  const char* kind = "DeepLab v2";
  if (backbone != "vgg16")
    return std::make_shared<DeepLabV2>(kind, o, std::make_shared<ResNetScorer>(o, rates));
  refuse_norms(o, "deeplabv2 on vgg16");
  return std::make_shared<DeepLabV2>(kind, o, std::make_shared<VggScorer>(o, rates));
}

}  // namespace atrous::nets
