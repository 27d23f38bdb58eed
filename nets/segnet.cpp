// SegNet (Badrinarayanan, Kendall, Cipolla, arXiv:1511.00561): a decoder that writes each value back to where
// the encoder's pooling found it (max unpooling), then fills in between by convolutions. Pools round up, so
// all image sizes work, and logits have the size of the image.
//
// form "vgg16" (the default): the 13 convolutions of VGG16 and their mirror image, each with norm and ReLU;
// the last one gives the scores. form "basic": SegNet-Basic, four levels of one 7x7 convolution of 64
// channels; no ReLU in the decoder, 1x1 scores, and the image goes through a local response normalisation
// over its channels first (which changes images of 0 to 255, and hardly changes normalised
// ones).
//
// Convolutions have biases although a norm follows, as in the authors' models.
//
// Names. Encoder of "vgg16": features.N, torchvision's vgg16_bn, whose weights fit. All else has the names of
// the authors' Caffe models: conv5_3_D, conv5_3_D_bn, ... conv1_1_D; conv1, conv1_bn, ... conv_decode1,
// conv_decode1_bn, conv_classifier.
#include <algorithm>
#include <array>
#include <vector>

#include "layers/local_response_norm.h"
#include "nets/backbone.h"
#include "nets/networks.h"

namespace atrous::nets {
namespace {

using namespace layers;

// A convolution with its norm. It keeps its bias, unlike those of a Block.
class Convs : public Block {
 public:
  ConvNorm add(const std::string& conv, const std::string& norm_name, const Conv2dArgs& args, NormKind norm) {
    ConvNorm both{register_module<Conv2d>(conv, args), make_norm(norm, args.out)};
    if (both.norm) add_child(norm_name, both.norm);
    return both;
  }
  std::string kind() const override { return "Sequential"; }
};

struct Step {
  ConvNorm conv;
  Activation activation = Activation::relu;
};
using Level = std::vector<Step>;  // level l works at 2^-l of the image's size

Variable run(const Level& level, Variable x) {
  for (const Step& s : level) x = s.conv(x, {.activation = s.activation, .residual = {}, .out = {}});
  return x;
}

Conv2dArgs square(int64_t in, int64_t out, int64_t kernel) {
  return {.in = in, .out = out, .kernel = kernel, .pad = kernel / 2, .init = Init::kaiming_normal_fan_in};
}

PooledWithIndices pool(const Variable& x) {
  // An extent of one is not pooled.
  const int64_t h = std::min<int64_t>(2, x.dim(1)), w = std::min<int64_t>(2, x.dim(2));
  return max_pool2d_with_indices(
      x, {.kernel_h = h, .kernel_w = w, .stride_h = h, .stride_w = w, .ceil_mode = true});
}

class SegNet : public SegmentationModel {
 public:
  explicit SegNet(const ModelOptions& o)
      : classes_(o.num_classes), in_channels_(o.in_channels), basic_(o.form == NetworkForm::basic) {
    const auto features = basic_ ? nullptr : register_module<Convs>("features");
    own_ = register_module<Convs>("");
    basic_ ? add_basic_levels(o) : add_vgg_levels(o, *features);
  }

  SegmentationOutput forward(const Variable& image) override {
    struct Pooled {
      Tensor indices;
      int64_t height, width;
    };
    std::vector<Pooled> pools;
    Variable x = basic_ ? local_response_norm(image) : image;
    for (const Level& level : down_) {
      const ModuleScope scope(basic_ ? "" : "features");
      x = run(level, x);
      const PooledWithIndices pooled = pool(x);
      pools.push_back({pooled.indices, x.dim(1), x.dim(2)});
      x = pooled.values;
    }
    for (size_t level = pools.size(); level-- > 0;) {
      const Pooled& p = pools[level];
      x = run(up_[level], max_unpool2d(x, p.indices, p.height, p.width));
    }
    return whole_image(image, x);
  }

  int64_t num_classes() const override { return classes_; }
  int64_t in_channels() const override { return in_channels_; }
  int64_t output_stride() const override { return int64_t{1} << down_.size(); }
  std::string backbone_prefix() const override { return basic_ ? "" : "features."; }
  std::string kind() const override { return basic_ ? "SegNet-Basic" : "SegNet"; }

 private:
  void add_vgg_levels(const ModelOptions& o, Convs& features) {
    constexpr std::array<int64_t, 5> convs{2, 2, 3, 3, 3}, widths{64, 128, 256, 512, 512};
    // torchvision's list has the ReLUs, the pools and, if there are any, the norms as members, too.
    const int64_t members = o.norm_of_backbone() == NormKind::none ? 2 : 3;
    int64_t index = 0, in = in_channels_;
    const auto width = [&](size_t level) { return scaled_width(widths[level], o.width_multiplier); };
    for (size_t level = 0; level < convs.size(); ++level) {
      down_.emplace_back();
      for (int64_t i = 0; i < convs[level]; ++i) {
        down_[level].push_back({features.add(std::to_string(index), std::to_string(index + 1),
                                             square(in, width(level), 3), o.norm_of_backbone())});
        in = width(level);
        index += members;
      }
      ++index;  // the pool
    }
    up_.resize(convs.size());
    for (size_t level = convs.size(); level-- > 0;) {
      for (int64_t i = convs[level]; i >= 1; --i) {
        const bool scores = level == 0 && i == 1;
        const int64_t out = scores ? classes_ : width(i == 1 ? level - 1 : level);
        const std::string child = fmt::format("conv{}_{}_D", level + 1, i);
        up_[level].push_back(
            {own_->add(child, child + "_bn", square(in, out, 3), scores ? NormKind::none : o.norm),
             scores ? Activation::none : Activation::relu});
        in = out;
      }
    }
  }

  void add_basic_levels(const ModelOptions& o) {
    constexpr size_t levels = 4;
    constexpr int64_t kernel = 7;
    const int64_t width = scaled_width(64, o.width_multiplier);
    for (size_t level = 0; level < levels; ++level) {
      const std::string child = fmt::format("conv{}", level + 1);
      const int64_t in = level == 0 ? in_channels_ : width;
      down_.push_back({{own_->add(child, child + "_bn", square(in, width, kernel), o.norm)}});
    }
    up_.resize(levels);
    for (size_t level = levels; level-- > 0;) {
      const std::string child = fmt::format("conv_decode{}", level + 1);
      up_[level].push_back(
          {own_->add(child, child + "_bn", square(width, width, kernel), o.norm), Activation::none});
    }
    up_[0].push_back(
        {own_->add("conv_classifier", "", square(width, classes_, 1), NormKind::none), Activation::none});
  }

  const int64_t classes_, in_channels_;
  const bool basic_;
  std::shared_ptr<Convs> own_;  // layers that are not under "features"
  std::vector<Level> down_, up_;
};

}  // namespace

ModelPtr build_segnet(const ModelOptions& o) {
  const NetworkForm form = o.form.value_or(NetworkForm::vgg16);
  ATROUS_CHECK(form == NetworkForm::vgg16 || form == NetworkForm::basic, ErrorKind::config,
               "[model.form] of segnet must be \"vgg16\" or \"basic\". Got \"{}\". Choose one of them.",
               form);
  return std::make_shared<SegNet>(o);
}

}  // namespace atrous::nets
