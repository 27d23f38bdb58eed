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
#include <algorithm>

#include "layers/adaptive_avg_pool2d.h"
#include "layers/concat.h"
#include "layers/resize.h"
#include "layers/trace.h"
#include "nets/backbone.h"
#include "nets/heads.h"
#include "nets/networks.h"

namespace atrous::nets {
namespace {

using namespace layers;

constexpr int64_t bins[] = {1, 2, 3, 6};

// The pyramid pooling module. [N,H,W,C] -> [N,H,W,2C] (for C divisible by 4).
class PyramidPooling : public Block {
 public:
  PyramidPooling(int64_t in, const std::string& norm, bool align_corners) : align_corners_(align_corners) {
    features_ = register_module<Features>("features", in, std::max<int64_t>(1, in / std::ssize(bins)), norm);
    out_channels = in + std::ssize(bins) * features_->levels[0]->channels();
  }
  Variable forward(const Variable& x) const {
    const ModuleScope scope(name());
    const ModuleScope inner(features_->name());
    const BranchScope branch;
    std::vector<Variable> parts{x};
    for (size_t i = 0; i < std::size(bins); ++i) {
      const Variable mean = adaptive_avg_pool2d(x, bins[i], bins[i]);
      parts.push_back(resize(features_->levels[i]->forward(mean), {.height = x.dim(1),
                                                                   .width = x.dim(2),
                                                                   .mode = ResizeMode::bilinear,
                                                                   .align_corners = align_corners_}));
    }
    return concat(parts);
  }
  std::string kind() const override { return "PPM"; }

  int64_t out_channels = 0;

 private:
  struct Features : Block {
    Features(int64_t in, int64_t out, const std::string& norm) {
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
  if (o.stem.empty() && b.name.starts_with("resnet")) b.stem = "deep";
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
    const BranchScope branch;
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

}  // namespace

ModelPtr build_pspnet(const ModelOptions& options) {
  return std::make_shared<PspNet>(options);
}

}  // namespace atrous::nets
