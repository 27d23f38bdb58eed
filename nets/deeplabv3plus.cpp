// DeepLab v3+ (Chen, Zhu, Papandreou, Schroff, Adam, "Encoder-decoder with atrous separable convolution for
// semantic image segmentation", arXiv:1802.02611, section 3.1): ASPP with separable convolutions on a dilated
// backbone; its result, resized, is concatenated with 48 channels of the map of stride 4, refined by two
// separable 3x3 convolutions and scored at stride 4.
//
// The paper's form follows the authors' code (tensorflow/models, research/deeplab): norm and ReLU also
// between depthwise and 1x1, all resizing with align_corners, dropout 0.1 behind ASPP. Names: backbone.*,
// decoder.aspp.{convs,project}.*, decoder.low_level.{0,1}, decoder.refine.i.{0,1,3,4}, classifier.0.
//
// Form "smp" is segmentation_models_pytorch's: nothing between depthwise and 1x1, one separable convolution
// before the concatenation and one after it, rates 12, 24 and 36 at every output stride, dropout 0.5. Names:
// encoder.*, decoder.aspp.0.{convs,project}.*, decoder.aspp.{1.0,1.1,2}, decoder.block1.{0,1},
// decoder.block2.{0.0,0.1,1}, segmentation_head.0.
#include "layers/concat.h"
#include "layers/resize.h"
#include "nets/deeplab.h"
#include "nets/networks.h"

namespace atrous::nets {
namespace {

using namespace layers;

// smp's: ASPP (0) and a separable convolution (1, 2).
class RefinedAspp : public Head {
 public:
  explicit RefinedAspp(const AsppOptions& o)
      : aspp_(register_module<Aspp>("0", o)),
        refine_(std::make_shared<SeparableConv>(SeparableArgs{.in = o.channels,
                                                              .out = o.channels,
                                                              .dilation = 1,
                                                              .norm = o.norm,
                                                              .norm_between = o.norm_between,
                                                              .first = 1})) {
    add_child("", refine_);
  }
  Variable forward(const Variable& x) const override {
    const ModuleScope scope(name());
    return refine_->forward(aspp_->forward(x));
  }
  std::string kind() const override { return "Sequential"; }

 private:
  std::shared_ptr<Aspp> aspp_;
  std::shared_ptr<SeparableConv> refine_;
};

// The paper's two separable convolutions: 0 and 1.
class TwoSeparable : public Head {
 public:
  TwoSeparable(int64_t in, const AsppOptions& o) {
    SeparableArgs args{.in = in, .out = o.channels, .dilation = 1, .norm = o.norm};
    first_ = register_module<SeparableConv>("0", args);
    args.in = o.channels;
    second_ = register_module<SeparableConv>("1", args);
  }
  Variable forward(const Variable& x) const override {
    const ModuleScope scope(name());
    return second_->forward(first_->forward(x));
  }
  std::string kind() const override { return "Sequential"; }

 private:
  std::shared_ptr<SeparableConv> first_, second_;
};

struct DecoderArgs {
  AsppOptions aspp;
  int64_t low_level_in = 0, low_level_channels = 48;
  bool align_corners = true;
  bool smp = false;
};

class Decoder : public Block {
 public:
  explicit Decoder(const DecoderArgs& a)
      : channels_{a.aspp.channels, a.low_level_channels}, align_corners_(a.align_corners) {
    const Conv2dArgs project{.in = a.low_level_in, .out = a.low_level_channels, .kernel = 1};
    const int64_t joined = channels_[0] + channels_[1];
    if (a.smp) {
      context_ = register_module<RefinedAspp>("aspp", a.aspp);
      low_level_ = register_module<ConvNormRelu>("block1", project, a.aspp.norm);
      refine_ = register_module<SeparableConv>(
          "block2",
          SeparableArgs{
              .in = joined, .out = channels_[0], .dilation = 1, .norm = a.aspp.norm, .norm_between = false});
    } else {
      context_ = register_module<Aspp>("aspp", a.aspp);
      low_level_ = register_module<ConvNormRelu>("low_level", project, a.aspp.norm);
      refine_ = register_module<TwoSeparable>("refine", joined, a.aspp);
    }
  }
  // The deepest map, and the one of stride 4 at whose resolution the result is.
  Variable forward(const Variable& deep, const Variable& low) const {
    const ModuleScope scope(name());
    const ConcatBuffer buffer({low.dim(0), low.dim(1), low.dim(2)}, channels_, low.dtype(),
                              low.value().device());
    const Variable context = resize(context_->forward(deep),
                                    {.height = low.dim(1),
                                     .width = low.dim(2),
                                     .mode = ResizeMode::bilinear,
                                     .align_corners = align_corners_},
                                    buffer.slice(0));
    return refine_->forward(concat_in_place(buffer, {context, project(low, buffer.slice(1))}));
  }
  std::string kind() const override { return "Decoder"; }

 private:
  Variable project(const Variable& low, const Tensor& out) const { return low_level_->forward(low, out); }

  const std::vector<int64_t> channels_;
  const bool align_corners_;
  std::shared_ptr<Head> context_, refine_;
  std::shared_ptr<ConvNormRelu> low_level_;
};

class DeepLabV3Plus : public DeepLab {
 public:
  explicit DeepLabV3Plus(const ModelOptions& o) : DeepLab(o, deeplab_backbone(o, 16)) {
    DecoderArgs args{.aspp = deeplab_aspp(o, backbone_->channels(5), output_stride()),
                     .low_level_in = backbone_->channels(2),
                     .low_level_channels = scaled_width(48, o.width_multiplier),
                     .align_corners = align_corners_,
                     .smp = smp_};
    args.aspp.separable = true;
    decoder_ = register_module<Decoder>("decoder", args);
    classifier_ = make_classifier(args.aspp.channels);
  }

  SegmentationOutput forward(const Variable& image) override {
    const std::vector<Variable> maps = backbone_->forward(image);
    return whole_image(image, classifier_->forward(decoder_->forward(maps[5], maps[2])), {}, align_corners_);
  }
  std::string kind() const override { return "DeepLab v3+"; }

 private:
  std::shared_ptr<Decoder> decoder_;
  std::shared_ptr<ScoreHead> classifier_;
};

}  // namespace

ModelPtr build_deeplabv3plus(const ModelOptions& options) {
  return std::make_shared<DeepLabV3Plus>(options);
}

}  // namespace atrous::nets
