#include "nets/crf_as_rnn.h"

#include "layers/pad.h"

namespace atrous::nets {
namespace {

using layers::Region;
using layers::SegmentationOutput;

class NetworkWithCrf : public layers::SegmentationModel {
 public:
  NetworkWithCrf(const ModelPtr& network, const layers::CrfAsRnnOptions& options) : network_(network) {
    add_child("", network);
    crf_ = register_module<layers::CrfAsRnn>("crf", network->num_classes(), network->in_channels(), options);
  }

  SegmentationOutput forward(const Variable& image) override {
    SegmentationOutput out = network_->forward(image);
    const Region& r = out.region;
    const Tensor seen = layers::crop(image.detach(), r.top, r.left, r.height, r.width).value();
    out.logits = crf_->forward(layers::full_resolution_logits(out), seen);
    return out;
  }

  std::string kind() const override { return network_->kind() + " with CrfAsRnn"; }
  std::string arguments() const override { return network_->arguments(); }
  int64_t num_classes() const override { return network_->num_classes(); }
  int64_t in_channels() const override { return network_->in_channels(); }
  int64_t output_stride() const override { return network_->output_stride(); }
  int64_t context() const override { return network_->context(); }
  std::string backbone_prefix() const override { return network_->backbone_prefix(); }
  bool in_backbone(const std::string& tensor_name) const override {
    return network_->in_backbone(tensor_name);
  }

 private:
  ModelPtr network_;
  std::shared_ptr<layers::CrfAsRnn> crf_;
};

}  // namespace

ModelPtr with_crf(const ModelPtr& network, const layers::CrfAsRnnOptions& options) {
  return std::make_shared<NetworkWithCrf>(network, options);
}

}  // namespace atrous::nets
