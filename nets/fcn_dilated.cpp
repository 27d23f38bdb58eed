// torchvision's fcn_resnet50 and fcn_resnet101: dilated backbone of output stride 8 (or 16, 32), a 3x3 head,
// and an auxiliary head on layer3. Names: backbone.*, classifier.{0,1,4}, aux_classifier.{0,1,4}.
#include "layers/trace.h"
#include "nets/backbone.h"
#include "nets/heads.h"
#include "nets/networks.h"

namespace atrous::nets {
namespace {

using namespace layers;

class DilatedFcn : public SegmentationModel {
 public:
  explicit DilatedFcn(const ModelOptions& o)
      : classes_(o.num_classes), in_channels_(o.in_channels), output_stride_(o.output_stride_or(8)) {
    const BackboneOptions b = backbone_options(o, o.name == "fcn_resnet101" ? "resnet101" : "resnet50", 8);
    name_ = b.name;
    backbone_ = make_backbone(b);
    add_child("backbone", backbone_);
    classifier_ =
        register_module<FcnHead>("classifier", backbone_->channels(5), classes_, o.norm, o.dropout_or(0.1));
    if (o.aux_loss) {
      aux_ = register_module<FcnHead>("aux_classifier", backbone_->channels(4), classes_, o.norm,
                                      o.dropout_or(0.1));
    }
  }

  SegmentationOutput forward(const Variable& image) override {
    const std::vector<Variable> maps = backbone_->forward(image);
    const Variable logits = classifier_->forward(maps[5]);
    if (!aux_) return whole_image(image, logits);
    const BranchScope branch;
    return whole_image(image, logits, aux_->forward(maps[4]));
  }

  int64_t num_classes() const override { return classes_; }
  int64_t in_channels() const override { return in_channels_; }
  int64_t output_stride() const override { return output_stride_; }
  std::string backbone_prefix() const override { return "backbone."; }
  std::string kind() const override { return "FCN " + name_; }

 private:
  const int64_t classes_, in_channels_, output_stride_;
  std::string name_;
  std::shared_ptr<Backbone> backbone_;
  std::shared_ptr<FcnHead> classifier_, aux_;
};

}  // namespace

ModelPtr build_dilated_fcn(const ModelOptions& options) {
  return std::make_shared<DilatedFcn>(options);
}

}  // namespace atrous::nets
