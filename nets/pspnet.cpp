// PSPNet (Zhao, Shi, Qi, Wang, Jia, "Pyramid scene parsing network", arXiv:1612.01105, section 3) in the form
// of the authors' PyTorch code (hszhao/semseg): on a ResNet of output stride 8, whose dilated stages have one
// rate throughout, the means over 1x1, 2x2, 3x3 and 6x6 parts of the map, each through a 1x1 convolution to a
// quarter of the channels, resized to the map and concatenated with it; then 3x3 and scores. All resizing has
// align_corners. The auxiliary head scores the map before the last stage, in training only.
//
// The inner width of both heads is a quarter of the map they see, which on ResNet-50 and deeper is the
// paper's 512 and 256, and on ResNet-18 keeps the head in proportion.
//
// Names: layer0.* (or conv1, bn1), layer1 ... layer4, ppm.features.i.{1,2}, cls.{0,1,4}, aux.{0,1,4}.
//
// Form "smp" is segmentation_models_pytorch's, a much smaller network: the pyramid reads the undilated
// map of stride 8 (or that of output_stride) of any backbone, whose later stages are in the weights but
// do not run; the 1x1 mean has a bias instead of a norm; the map comes last in the concatenation; then 1x1 to
// 512 channels, dropout 0.2 and 3x3 scores. No auxiliary head.
//
// Names: encoder.*, decoder.psp.blocks.i.pool.1.{0,1}, decoder.conv.{0,1}, segmentation_head.0.
#include <algorithm>

#include "layers/adaptive_avg_pool2d.h"
#include "layers/concat.h"
#include "layers/resize.h"
#include "nets/backbone.h"
#include "nets/efficientnet.h"
#include "nets/heads.h"
#include "nets/networks.h"
#include "nets/smp.h"

namespace atrous::nets {
namespace {

using namespace layers;

constexpr int64_t bins[] = {1, 2, 3, 6};

// The means over bins x bins parts of a map, each through its own level and resized to the map.
std::vector<Variable> pooled(const Variable& x, const std::vector<std::shared_ptr<ConvNormRelu>>& levels,
                             bool align_corners) {
  std::vector<Variable> parts;
  for (size_t i = 0; i < std::size(bins); ++i) {
    const Variable mean = adaptive_avg_pool2d(x, bins[i], bins[i]);
    parts.push_back(resize(levels[i]->forward(mean), {.height = x.dim(1),
                                                      .width = x.dim(2),
                                                      .mode = ResizeMode::bilinear,
                                                      .align_corners = align_corners}));
  }
  return parts;
}

// The pyramid pooling module. [N,H,W,C] -> [N,H,W,2C] (for C divisible by 4).
class PyramidPooling : public Block {
 public:
  PyramidPooling(int64_t in, NormKind norm, bool align_corners) : align_corners_(align_corners) {
    features_ = register_module<Features>("features", in, std::max<int64_t>(1, in / std::ssize(bins)), norm);
    out_channels = in + std::ssize(bins) * features_->levels[0]->channels();
  }
  Variable forward(const Variable& x) const {
    const ModuleScope scope(name());
    const ModuleScope inner(features_->name());
    std::vector<Variable> parts = pooled(x, features_->levels, align_corners_);
    parts.insert(parts.begin(), x);
    return concat(parts);
  }
  std::string kind() const override { return "PPM"; }

  int64_t out_channels = 0;

 private:
  struct Features : Block {
    Features(int64_t in, int64_t out, NormKind norm) {
      for (size_t i = 0; i < std::size(bins); ++i)
        levels.push_back(register_module<ConvNormRelu>(
            std::to_string(i), Conv2dArgs{.in = in, .out = out, .kernel = 1}, norm, /*first=*/1));
    }
    std::string kind() const override { return "ModuleList"; }
    std::vector<std::shared_ptr<ConvNormRelu>> levels;
  };
  const bool align_corners_;
  std::shared_ptr<Features> features_;
};

BackboneOptions dilated_resnet(const ModelOptions& o) {
  BackboneOptions b = backbone_options(o, "resnet50", 8);
  if (!o.stem && b.name.starts_with("resnet")) b.stem = StemKind::deep;
  if (find_efficientnet(b.name)) b.last_conv = false;  // of their classifier
  b.uniform_dilation = true;
  return b;
}

class PspNet : public SegmentationModel {
 public:
  explicit PspNet(const ModelOptions& o)
      : classes_(o.num_classes),
        in_channels_(o.in_channels),
        output_stride_(o.output_stride_or(8)),
        align_corners_(o.align_corners.value_or(true)),
        backbone_(make_backbone(dilated_resnet(o))) {
    add_child("", backbone_);
    const int64_t in = backbone_->channels(5), before = backbone_->channels(4);
    pyramid_ = register_module<PyramidPooling>("ppm", in, o.norm, align_corners_);
    FcnHeadOptions head{.in = pyramid_->out_channels,
                        .classes = classes_,
                        .inner = std::max<int64_t>(1, in / 4),
                        .norm = o.norm,
                        .dropout = o.dropout_or(0.1),
                        .drop_channels = true};
    head_ = register_module<FcnHead>("cls", head);
    if (!o.aux_loss) return;
    head.in = before;
    head.inner = 0;
    auxiliary_ = register_module<FcnHead>("aux", head);
  }

  SegmentationOutput forward(const Variable& image) override {
    const std::vector<Variable> maps = backbone_->forward(image);
    const Variable logits = head_->forward(pyramid_->forward(maps[5]));
    if (!auxiliary_ || !training()) return whole_image(image, logits, {}, align_corners_);
    return whole_image(image, logits, auxiliary_->forward(maps[4]), align_corners_);
  }

  int64_t num_classes() const override { return classes_; }
  int64_t in_channels() const override { return in_channels_; }
  int64_t output_stride() const override { return output_stride_; }
  // The names of the backbone are at the top.
  bool in_backbone(const std::string& tensor_name) const override {
    const auto of = [&](const char* head) { return tensor_name.starts_with(head); };
    return !of("ppm.") && !of("cls.") && !of("aux.");
  }
  std::string kind() const override { return "PSPNet"; }

 private:
  const int64_t classes_, in_channels_, output_stride_;
  const bool align_corners_;
  std::shared_ptr<Backbone> backbone_;
  std::shared_ptr<PyramidPooling> pyramid_;
  std::shared_ptr<FcnHead> head_, auxiliary_;
};

constexpr Init smp_init = Init::kaiming_uniform_fan_in;

// smp's decoder: pyramid, 1x1 convolution with norm and ReLU, dropout of channels.
class SmpDecoder : public Block {
 public:
  SmpDecoder(int64_t in, int64_t out, const ModelOptions& o)
      : align_corners_(o.align_corners.value_or(true)) {
    pyramid_ = register_module<Pyramid>("psp", in, o.norm);
    const int64_t joined = in + std::ssize(bins) * pyramid_->levels[0]->channels();
    conv_ = register_module<ConvNormRelu>(
        "conv", Conv2dArgs{.in = joined, .out = out, .kernel = 1, .init = smp_init}, o.norm);
    dropout_ = register_module<Dropout>("dropout", o.dropout_or(0.2), /*channelwise=*/true);
  }
  Variable forward(const Variable& x) const {
    const ModuleScope scope(name());
    std::vector<Variable> parts;
    {
      const ModuleScope inner(pyramid_->name());
      parts = pooled(x, pyramid_->levels, align_corners_);
    }
    parts.push_back(x);
    return dropout_->forward(conv_->forward(concat(parts)));
  }
  std::string kind() const override { return "PSPDecoder"; }

 private:
  struct Pyramid : Block {
    Pyramid(int64_t in, NormKind norm) {
      const Conv2dArgs args{
          .in = in, .out = std::max<int64_t>(1, in / std::ssize(bins)), .kernel = 1, .init = smp_init};
      for (size_t i = 0; i < std::size(bins); ++i)
        levels.push_back(register_module<ConvNormRelu>(fmt::format("blocks.{}.pool.1", i), args,
                                                       bins[i] == 1 ? NormKind::none : norm));
    }
    std::string kind() const override { return "PSPModule"; }
    std::vector<std::shared_ptr<ConvNormRelu>> levels;
  };
  const bool align_corners_;
  std::shared_ptr<Pyramid> pyramid_;
  std::shared_ptr<ConvNormRelu> conv_;
  std::shared_ptr<Dropout> dropout_;
};

class SmpPspNet : public SegmentationModel {
 public:
  explicit SmpPspNet(const ModelOptions& o)
      : classes_(o.num_classes),
        in_channels_(o.in_channels),
        output_stride_(o.output_stride_or(8)),
        align_corners_(o.align_corners.value_or(true)),
        level_(stride_level("model.output_stride", output_stride_)) {
    BackboneOptions b = backbone_options(o, "resnet50");
    b.output_stride = 32;  // nothing is dilated: stages behind the map are not used
    backbone_ = make_backbone(b);
    add_child(smp_encoder_name(b.name), backbone_);
    const int64_t inner = scaled_width(512, o.width_multiplier);
    decoder_ = register_module<SmpDecoder>("decoder", backbone_->channels(level_), inner, o);
    head_ =
        register_module<ScoreHead>("segmentation_head", inner, classes_, /*kernel=*/3, Init::xavier_uniform);
  }

  SegmentationOutput forward(const Variable& image) override {
    const Variable x = backbone_->forward(image, level_)[level_];
    return whole_image(image, head_->forward(decoder_->forward(x)), {}, align_corners_);
  }

  int64_t num_classes() const override { return classes_; }
  int64_t in_channels() const override { return in_channels_; }
  int64_t output_stride() const override { return output_stride_; }
  std::string backbone_prefix() const override { return backbone_->name() + "."; }
  std::string kind() const override { return "PSPNet (smp)"; }

 private:
  const int64_t classes_, in_channels_, output_stride_;
  const bool align_corners_;
  const size_t level_;  // the map that the pyramid reads
  std::shared_ptr<Backbone> backbone_;
  std::shared_ptr<SmpDecoder> decoder_;
  std::shared_ptr<ScoreHead> head_;
};

}  // namespace

ModelPtr build_pspnet(const ModelOptions& o) {
  if (!is_smp_form(o)) return std::make_shared<PspNet>(o);
  return std::make_shared<SmpPspNet>(o);
}

}  // namespace atrous::nets
