// U-Net on a classification backbone: the form of the library segmentation_models_pytorch, its names and its
// logits (Iakubovskii, 2019; the idea is TernausNet, Iglovikov and Shvets, arXiv:1801.05746).
//
// Five blocks on the way up, of 256, 128, 64, 32 and 16 channels: nearest neighbour to the exact size of the
// next finer map of the backbone, joined with that map (the image itself is not joined), two 3x3 convolutions
// with norm and ReLU; 3x3 scores at the size of the image, whatever that is. On VGG two more convolutions
// stand before the first block.
//
// attention "scse": concurrent spatial and channel squeeze and excitation (Roy, Navab, Wachinger,
// arXiv:1803.02579) of the joined map and of the block's result, x * cSE(x) + x * sSE(x). The paper takes the
// maximum of the two; the library's sum is what its weights were trained with. "se": x * cSE(x) alone (Hu,
// Shen, Sun, arXiv:1709.01507).
//
// Names: encoder.* (torchvision's of the classification network), decoder.center.{0,1}.{0,1},
// decoder.blocks.i.conv{1,2}.{0,1}, decoder.blocks.i.attention{1,2}.attention.{cSE.1,cSE.3,sSE.0},
// segmentation_head.0.
#include <algorithm>
#include <array>

#include "layers/adaptive_avg_pool2d.h"
#include "layers/concat.h"
#include "layers/pad.h"
#include "layers/pointwise.h"
#include "layers/resize.h"
#include "nets/backbone.h"
#include "nets/heads.h"
#include "nets/module_list.h"
#include "nets/networks.h"
#include "nets/smp.h"

namespace atrous::nets {
namespace {

using namespace layers;

constexpr Init decoder_init = Init::kaiming_uniform_fan_in;

// One factor per channel of each image, from the means of all channels: "cSE".
class ChannelGate : public Block {
 public:
  explicit ChannelGate(int64_t channels) {
    constexpr int64_t reduction = 16;
    const int64_t inner = std::max<int64_t>(1, channels / reduction);
    squeeze_ = register_module<Conv2d>(
        "1", Conv2dArgs{.in = channels, .out = inner, .kernel = 1, .init = decoder_init});
    excite_ = register_module<Conv2d>(
        "3", Conv2dArgs{.in = inner, .out = channels, .kernel = 1, .init = decoder_init});
  }
  Variable forward(const Variable& x) const {
    const ModuleScope scope(name());
    return sigmoid(excite_->forward(squeeze_->forward(global_avg_pool2d(x), Activation::relu)));
  }
  std::string kind() const override { return "Sequential"; }

 private:
  std::shared_ptr<Conv2d> squeeze_, excite_;
};

// One factor per pixel: "sSE".
class PixelGate : public Block {
 public:
  explicit PixelGate(int64_t channels)
      : score_(register_module<Conv2d>(
            "0", Conv2dArgs{.in = channels, .out = 1, .kernel = 1, .init = decoder_init})) {}
  Variable forward(const Variable& x) const {
    const ModuleScope scope(name());
    return sigmoid(score_->forward(x));
  }
  std::string kind() const override { return "Sequential"; }

 private:
  std::shared_ptr<Conv2d> score_;
};

// "attention1" or "attention2"; its only child is "attention".
class Attention : public Block {
 public:
  Attention(int64_t channels, bool per_pixel) {
    gates_ = register_module<Gates>("attention", channels, per_pixel);
  }
  Variable forward(const Variable& x) const {
    const ModuleScope scope(name());
    const ModuleScope inner(gates_->name());
    const Variable y = mul(x, gates_->channel->forward(x));
    return gates_->pixel ? add(y, mul(x, gates_->pixel->forward(x))) : y;
  }
  std::string kind() const override { return "Attention"; }

 private:
  struct Gates : Block {
    Gates(int64_t channels, bool per_pixel) : channel(register_module<ChannelGate>("cSE", channels)) {
      if (per_pixel) pixel = register_module<PixelGate>("sSE", channels);
    }
    std::string kind() const override { return "SCSEModule"; }
    std::shared_ptr<ChannelGate> channel;
    std::shared_ptr<PixelGate> pixel;  // may be null
  };
  std::shared_ptr<Gates> gates_;
};

// 3x3 convolution (0), norm (1), ReLU.
class ConvBlock : public Block {
 public:
  ConvBlock(int64_t in, int64_t out, NormKind norm)
      : conv_(conv_norm("0", "1", {.in = in, .out = out, .pad = 1, .init = decoder_init}, norm)) {}
  Variable forward(const Variable& x) const {
    const ModuleScope scope(name());
    return conv_(x);
  }
  std::string kind() const override { return "Conv2dReLU"; }

 private:
  ConvNorm conv_;
};

Variable nearest(const Variable& x, int64_t height, int64_t width, const Tensor& out = {}) {
  return resize(x, {.height = height, .width = width, .mode = ResizeMode::nearest, .align_corners = false},
                out);
}

struct DecoderArgs {
  AttentionKind attention;
  NormKind norm;
};

class DecoderBlock : public Block {
 public:
  DecoderBlock(int64_t in, int64_t skip, int64_t out, const DecoderArgs& a) {
    const auto attention = [&](const char* child, int64_t channels) {
      return a.attention == AttentionKind::none
                 ? nullptr
                 : register_module<Attention>(child, channels, a.attention == AttentionKind::scse);
    };
    conv1_ = register_module<ConvBlock>("conv1", in + skip, out, a.norm);
    // The last block joins nothing and does not use its first attention; weights files have it nevertheless.
    attention1_ = attention("attention1", in + skip);
    conv2_ = register_module<ConvBlock>("conv2", out, out, a.norm);
    attention2_ = attention("attention2", out);
  }
  // To height x width; `skip` is undefined or of that size.
  Variable forward(const Variable& below, const Variable& skip, int64_t height, int64_t width) const {
    const ModuleScope scope(name());
    Variable x;
    if (skip.defined()) {
      x = joined(below, skip);
      if (attention1_) x = attention1_->forward(x);
    } else {
      x = nearest(below, height, width);
    }
    x = conv2_->forward(conv1_->forward(x));
    return attention2_ ? attention2_->forward(x) : x;
  }
  std::string kind() const override { return "UnetDecoderBlock"; }

 private:
  // The enlarged map is written into its slice; only the skip, which the backbone reads as well, is copied.
  static Variable joined(const Variable& below, const Variable& skip) {
    const int64_t height = skip.dim(1), width = skip.dim(2);
    const int64_t channels[] = {below.dim(3), skip.dim(3)};
    const ConcatBuffer buffer({skip.dim(0), height, width}, channels, below.dtype(), below.value().device());
    const Variable right = crop(skip, 0, 0, height, width, buffer.slice(1));
    return concat_in_place(buffer, {nearest(below, height, width, buffer.slice(0)), right});
  }

  std::shared_ptr<ConvBlock> conv1_, conv2_;
  std::shared_ptr<Attention> attention1_, attention2_;  // may be null
};

class Decoder : public Block {
 public:
  // `widths`: channels of the blocks, coarsest first.
  Decoder(const Backbone& backbone, const std::array<int64_t, 5>& widths, bool center, const DecoderArgs& a) {
    int64_t in = backbone.channels(5);
    if (center) {
      center_ = register_module<ModuleList<ConvBlock>>("center");
      for (int i = 0; i < 2; ++i) center_->append(in, in, a.norm);
    }
    blocks_ = register_module<ModuleList<DecoderBlock>>("blocks");
    for (size_t i = 0; i < widths.size(); ++i) {
      blocks_->append(in, i < 4 ? backbone.channels(4 - i) : 0, widths[i], a);
      in = widths[i];
    }
  }
  Variable forward(const std::vector<Variable>& maps) const {
    const ModuleScope scope(name());
    Variable x = maps[5];
    if (center_) {
      const ModuleScope inner(center_->name());
      for (const auto& conv : center_->items) x = conv->forward(x);
    }
    const ModuleScope inner(blocks_->name());
    for (size_t i = 0; i < blocks_->items.size(); ++i) {
      const Variable& finer = maps[4 - i];
      x = blocks_->items[i]->forward(x, i < 4 ? finer : Variable(), finer.dim(1), finer.dim(2));
    }
    return x;
  }
  std::string kind() const override { return "UnetDecoder"; }

 private:
  std::shared_ptr<ModuleList<ConvBlock>> center_;  // may be null
  std::shared_ptr<ModuleList<DecoderBlock>> blocks_;
};

class BackboneUNet : public SegmentationModel {
 public:
  explicit BackboneUNet(const ModelOptions& o)
      : classes_(o.num_classes),
        in_channels_(o.in_channels),
        backbone_(make_backbone(backbone_options(o, ""))) {
    std::array<int64_t, 5> widths{256, 128, 64, 32, 16};
    for (int64_t& w : widths) w = scaled_width(w, o.width_multiplier);
    add_child(smp_encoder_name(o.backbone), backbone_);
    decoder_ = register_module<Decoder>("decoder", *backbone_, widths, o.backbone.starts_with("vgg"),
                                        DecoderArgs{o.attention, o.norm});
    head_ = register_module<ScoreHead>("segmentation_head", widths.back(), classes_, /*kernel=*/3,
                                       Init::xavier_uniform);
  }

  SegmentationOutput forward(const Variable& image) override {
    return whole_image(image, head_->forward(decoder_->forward(backbone_->forward(image))));
  }

  int64_t num_classes() const override { return classes_; }
  int64_t in_channels() const override { return in_channels_; }
  int64_t output_stride() const override { return 32; }
  std::string backbone_prefix() const override { return backbone_->name() + "."; }
  std::string kind() const override { return "UNet on " + backbone_->kind(); }

 private:
  const int64_t classes_, in_channels_;
  std::shared_ptr<Backbone> backbone_;
  std::shared_ptr<Decoder> decoder_;
  std::shared_ptr<ScoreHead> head_;
};

}  // namespace

ModelPtr build_backbone_unet(const ModelOptions& o) {
  return std::make_shared<BackboneUNet>(o);
}

}  // namespace atrous::nets
