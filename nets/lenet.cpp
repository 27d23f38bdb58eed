// LeNet-5 (LeCun, Bottou, Bengio, Haffner: "Gradient-based learning applied to document recognition", Proc.
// IEEE 86, 1998) in the form of Caffe's example: 5x5 convolutions of 20 and 50 channels without padding, a
// 2x2 max pool behind each, a fully connected layer of 500 with ReLU, and the scores. 431,080 parameters for
// one channel of 28x28. Names: conv1, conv2, fc1, fc2.
#include "core/error.h"
#include "layers/max_pool2d.h"
#include "layers/pointwise.h"
#include "nets/backbone.h"
#include "nets/heads.h"
#include "nets/image_classifier.h"
#include "nets/networks.h"

namespace atrous::nets {
namespace {

using namespace layers;

class LeNet5 : public ImageClassifier {
 public:
  explicit LeNet5(const ModelOptions& o) : ImageClassifier(o, {.smallest = o.input_size, .only = true}, 4) {
    const auto width = [&](int64_t channels) { return scaled_width(channels, o.width_multiplier); };
    // 28 - 4 = 24, 12; 12 - 4 = 8, 4. Pools round up, as Caffe's.
    const int64_t half = (o.input_size - 4 + 1) / 2, side = (half - 4 + 1) / 2;
    conv1_ = register_module<Conv2d>("conv1", filter(o.in_channels, width(20)));
    conv2_ = register_module<Conv2d>("conv2", filter(width(20), width(50)));
    fc1_ = register_module<Linear>("fc1", width(50) * side * side, width(500), true, Init::xavier_uniform);
    fc2_ = register_module<Linear>("fc2", width(500), o.num_classes, true, Init::xavier_uniform);
  }
  std::string kind() const override { return "LeNet-5"; }

 protected:
  SegmentationOutput logits_of(const Variable& image) const override {
    const Pool2dOptions pool = Pool2dOptions::square(2, 2, 0, /*ceil_mode=*/true);
    Variable x = max_pool2d(conv1_->forward(image), pool);
    x = flatten_channels_first(max_pool2d(conv2_->forward(x), pool));
    SegmentationOutput result;
    result.logits = fc2_->forward(relu_(fc1_->forward(x)));
    return result;
  }

 private:
  static Conv2dArgs filter(int64_t in, int64_t out) {
    return {.in = in, .out = out, .kernel = 5, .init = Init::xavier_uniform};
  }
  std::shared_ptr<Conv2d> conv1_, conv2_;
  std::shared_ptr<Linear> fc1_, fc2_;
};

}  // namespace

ModelPtr build_lenet5(const ModelOptions& options) {
  refuse_norms(options, options.name);
  return std::make_shared<LeNet5>(options);
}

}  // namespace atrous::nets
