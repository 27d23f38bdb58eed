// FCN-32s, 16s and 8s (Long, Shelhamer, Darrell, arXiv:1411.4038) on ResNets: 1x1 scores of layer4 (and
// layer3, and layer2), each doubled bilinearly (align_corners = false) to the exact size of the next and
// added; zero-initialised scores. Logits stay at stride 32, 16 or 8. Names: backbone.*, score5, score4,
// score3.
#include "layers/pointwise.h"
#include "layers/resize.h"
#include "nets/backbone.h"
#include "nets/fcn.h"

namespace atrous::nets {
namespace {

using namespace layers;

class FcnResNet : public SegmentationModel {
 public:
  FcnResNet(const ModelOptions& o, int64_t stride)
      : classes_(o.num_classes),
        in_channels_(o.in_channels),
        stride_(stride),
        backbone_(make_backbone(backbone_options(o, "resnet50"))) {
    add_child("backbone", backbone_);
    for (size_t level = 5; int64_t{1} << level >= stride; --level) {
      scores_.push_back(register_module<Conv2d>(
          fmt::format("score{}", level),
          Conv2dArgs{.in = backbone_->channels(level), .out = classes_, .kernel = 1, .init = Init::zeros}));
    }
  }

  SegmentationOutput forward(const Variable& image) override {
    const std::vector<Variable> maps = backbone_->forward(image);
    Variable x = scores_[0]->forward(maps[5]);
    for (size_t i = 1; i < scores_.size(); ++i) {
      const Variable lateral = scores_[i]->forward(maps[5 - i]);
      x = add(resize(x, {.height = lateral.dim(1),
                         .width = lateral.dim(2),
                         .mode = ResizeMode::bilinear,
                         .align_corners = false}),
              lateral);
    }
    return whole_image(image, x);
  }

  int64_t num_classes() const override { return classes_; }
  int64_t in_channels() const override { return in_channels_; }
  int64_t output_stride() const override { return 32; }
  std::string backbone_prefix() const override { return "backbone."; }
  std::string kind() const override { return fmt::format("FCN-{}s", stride_); }

 private:
  const int64_t classes_, in_channels_, stride_;
  std::shared_ptr<Backbone> backbone_;
  std::vector<std::shared_ptr<Conv2d>> scores_;  // of stride 32, 16, 8
};

}  // namespace

ModelPtr make_fcn_resnet(const ModelOptions& options, int64_t stride) {
  return std::make_shared<FcnResNet>(options, stride);
}

}  // namespace atrous::nets
