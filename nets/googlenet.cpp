// GoogLeNet (Szegedy et al.: "Going deeper with convolutions", arXiv:1409.4842) in torchvision's form and
// names: batch norm behind every convolution, and 3x3 where the paper has 5x5. model.aux_loss adds the two
// auxiliary heads, which run in training only.
#include "layers/adaptive_avg_pool2d.h"
#include "layers/concat.h"
#include "layers/max_pool2d.h"
#include "layers/pointwise.h"
#include "nets/backbone.h"
#include "nets/heads.h"
#include "nets/image_classifier.h"
#include "nets/networks.h"

namespace atrous::nets {
namespace {

using namespace layers;

constexpr Init init = Init::kaiming_normal_fan_in;

// Table 1 of the paper: channels of 1x1; of 1x1 and 3x3; of 1x1 and the third branch's 3x3; behind the pool.
struct Widths {
  const char* name;
  int64_t one, reduce3, three, reduce5, five, pool;
};
constexpr Widths modules[] = {
    {"inception3a", 64, 96, 128, 16, 32, 32},     {"inception3b", 128, 128, 192, 32, 96, 64},
    {"inception4a", 192, 96, 208, 16, 48, 64},    {"inception4b", 160, 112, 224, 24, 64, 64},
    {"inception4c", 128, 128, 256, 24, 64, 64},   {"inception4d", 112, 144, 288, 32, 64, 64},
    {"inception4e", 256, 160, 320, 32, 128, 128}, {"inception5a", 256, 160, 320, 32, 128, 128},
    {"inception5b", 384, 192, 384, 48, 128, 128},
};
// Indices of the modules: with pools behind, and with an auxiliary head behind.
constexpr size_t last_of_3 = 1, first_of_4 = 2, fourth_of_4 = 5, last_of_4 = 6;

struct Build {
  NormKind norm;
  double multiplier;
  int64_t width(int64_t channels) const { return scaled_width(channels, multiplier); }
};

// Convolutions as children "0" and "1", or "1" alone behind a pool.
class Branch : public Block {
 public:
  Branch(int64_t in, int64_t between, int64_t out, const Build& b) {
    const Conv2dArgs one{.in = in, .out = between, .kernel = 1, .init = init};
    convs_.push_back(register_module<BasicConv>("0", one, b.norm));
    const Conv2dArgs three{.in = between, .out = out, .pad = 1, .init = init};
    convs_.push_back(register_module<BasicConv>("1", three, b.norm));
  }
  Branch(int64_t in, int64_t out, const Build& b) : pooled_(true) {
    const Conv2dArgs one{.in = in, .out = out, .kernel = 1, .init = init};
    convs_.push_back(register_module<BasicConv>("1", one, b.norm));
  }
  Variable forward(Variable x) const {
    const ModuleScope scope(name());
    if (pooled_) x = max_pool2d(x, Pool2dOptions::square(3, 1, 1, /*ceil_mode=*/true));
    for (const auto& conv : convs_) x = conv->forward(x);
    return x;
  }
  std::string kind() const override { return "Sequential"; }

 private:
  bool pooled_ = false;
  std::vector<std::shared_ptr<BasicConv>> convs_;
};

class Inception : public Block {
 public:
  Inception(int64_t in, const Widths& w, const Build& b) {
    const Conv2dArgs one{.in = in, .out = b.width(w.one), .kernel = 1, .init = init};
    one_ = register_module<BasicConv>("branch1", one, b.norm);
    others_[0] = register_module<Branch>("branch2", in, b.width(w.reduce3), b.width(w.three), b);
    others_[1] = register_module<Branch>("branch3", in, b.width(w.reduce5), b.width(w.five), b);
    others_[2] = register_module<Branch>("branch4", in, b.width(w.pool), b);
    channels = b.width(w.one) + b.width(w.three) + b.width(w.five) + b.width(w.pool);
  }
  Variable forward(const Variable& x) const {
    const ModuleScope scope(name());
    std::vector<Variable> parts{one_->forward(x)};
    for (const auto& branch : others_) parts.push_back(branch->forward(x));
    return concat(parts);
  }
  std::string kind() const override { return "Inception"; }
  int64_t channels = 0;

 private:
  std::shared_ptr<BasicConv> one_;
  std::array<std::shared_ptr<Branch>, 3> others_;
};

// An auxiliary head: means on 4x4, 1x1 convolution, two fully connected layers.
class Auxiliary : public Block {
 public:
  Auxiliary(int64_t in, const ModelOptions& o, const Build& b) {
    const Conv2dArgs one{.in = in, .out = b.width(128), .kernel = 1, .init = init};
    conv_ = register_module<BasicConv>("conv", one, b.norm);
    const int64_t wide = b.width(1024);
    first_ = register_module<Linear>("fc1", 16 * b.width(128), wide, true, Init::normal_hundredth);
    second_ = register_module<Linear>("fc2", wide, o.num_classes, true, Init::normal_hundredth);
    dropout_ = register_module<Dropout>("dropout", o.dropout_or(0.7));
  }
  Variable forward(const Variable& x) const {
    const ModuleScope scope(name());
    Variable y = flatten_channels_first(conv_->forward(adaptive_avg_pool2d(x, 4, 4)));
    y = relu_(first_->forward(y));
    return second_->forward(dropout_->forward(y));
  }
  std::string kind() const override { return "InceptionAux"; }

 private:
  std::shared_ptr<BasicConv> conv_;
  std::shared_ptr<Linear> first_, second_;
  std::shared_ptr<Dropout> dropout_;
};

// A max pool of stride 2 that rounds up. A window that is larger than the map is cut, so that every image
// size works.
Variable halved(const Variable& x, int64_t window) {
  return max_pool2d(
      x, {.kernel_h = std::min(window, x.dim(1)), .kernel_w = std::min(window, x.dim(2)), .ceil_mode = true});
}

class GoogLeNet : public ImageClassifier {
 public:
  explicit GoogLeNet(const ModelOptions& o) : ImageClassifier(o, {}, 32), transform_(o.transform_input) {
    const Build b{o.norm, o.width_multiplier};
    const auto stem = [&](const char* child, const Conv2dArgs& args) {
      return register_module<BasicConv>(child, args, o.norm);
    };
    const int64_t narrow = b.width(64);
    int64_t channels = b.width(192);
    conv1_ =
        stem("conv1", {.in = o.in_channels, .out = narrow, .kernel = 7, .stride = 2, .pad = 3, .init = init});
    conv2_ = stem("conv2", {.in = narrow, .out = narrow, .kernel = 1, .init = init});
    conv3_ = stem("conv3", {.in = narrow, .out = channels, .pad = 1, .init = init});
    std::array<int64_t, 2> aux_channels{};
    for (const Widths& w : modules) {
      inceptions_.push_back(register_module<Inception>(w.name, channels, w, b));
      channels = inceptions_.back()->channels;
      if (inceptions_.size() == first_of_4 + 1) aux_channels[0] = channels;
      if (inceptions_.size() == fourth_of_4 + 1) aux_channels[1] = channels;
    }
    if (o.aux_loss) {
      aux_[0] = register_module<Auxiliary>("aux1", aux_channels[0], o, b);
      aux_[1] = register_module<Auxiliary>("aux2", aux_channels[1], o, b);
    }
    dropout_ = register_module<Dropout>("dropout", o.dropout_or(0.2));
    fc_ = register_module<Linear>("fc", channels, o.num_classes, true, Init::normal_hundredth);
  }
  std::string kind() const override { return "GoogLeNet"; }

 protected:
  SegmentationOutput logits_of(const Variable& image) const override {
    Variable x = halved(conv1_->forward(transform_ ? normalised_by_half(image) : image), 3);
    x = halved(conv3_->forward(conv2_->forward(x)), 3);
    SegmentationOutput result;
    for (size_t i = 0; i < inceptions_.size(); ++i) {
      x = inceptions_[i]->forward(x);
      if (training() && aux_[0] && i == first_of_4) result.more_aux.push_back(aux_[0]->forward(x));
      if (training() && aux_[1] && i == fourth_of_4) result.aux = aux_[1]->forward(x);
      if (i == last_of_3) x = halved(x, 3);
      if (i == last_of_4) x = halved(x, 2);
    }
    result.logits = fc_->forward(dropout_->forward(global_avg_pool2d(x)));
    return result;
  }

 private:
  const bool transform_;
  std::shared_ptr<BasicConv> conv1_, conv2_, conv3_;
  std::vector<std::shared_ptr<Inception>> inceptions_;
  std::array<std::shared_ptr<Auxiliary>, 2> aux_;
  std::shared_ptr<Dropout> dropout_;
  std::shared_ptr<Linear> fc_;
};

}  // namespace

ModelPtr build_googlenet(const ModelOptions& options) {
  check_transform_input(options);
  return std::make_shared<GoogLeNet>(options);
}

}  // namespace atrous::nets
