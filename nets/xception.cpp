// Xception-65, aligned: the backbone of DeepLab v3+ (Chen et al., arXiv:1802.02611, section 3.2, figure 4;
// the authors' code: tensorflow/models, research/deeplab). Chollet's Xception (arXiv:1610.02357) with more
// layers, strided depthwise convolutions in place of all pooling, and batch norm behind every depthwise
// convolution.
//
//   conv1 3x3, 32, stride 2; conv2 3x3, 64
//   entry   block1 ... block3:    three separable 3x3 of 128, 256, 728 channels; stride 2; 1x1 shortcut
//   middle  block4 ... block19:   three of 728; identity shortcut
//   exit    block20:              728, 1024, 1024; stride 2; 1x1 shortcut
//           block21:              1536, 1536, 2048; no shortcut, ReLU after each norm, not before
//
// A block's stride is that of its third separable convolution. Blocks with dilation for a stride keep the
// rate of the block before, and the rate doubles after them; the factors of multi_grid belong to block21. The
// map of stride 4 is the result of the second separable convolution of block2 (256 channels, before its
// ReLU), which the decoder of v3+ reads.
//
// Batch norm has TensorFlow's eps of 1e-3. Its decay of 0.9997 there fits runs of 30000 steps from ImageNet
// weights; in shorter runs evaluation would use statistics of the start, so momentum is 0.1 as elsewhere.
//
// Names: conv1, bn1, conv2, bn2, blockN.sepM.{0,1,3,4} (depthwise, norm, 1x1, norm), blockN.skip.{0,1}.
#include <array>

#include "layers/pointwise.h"
#include "nets/backbone.h"

namespace atrous::nets {
namespace {

using namespace layers;

constexpr Init init = Init::kaiming_normal_fan_out;

enum class Shortcut : unsigned char { none, identity, projection };

struct BlockArgs {
  int64_t in = 0;
  std::array<int64_t, 3> out{};
  std::array<int64_t, 3> rates{1, 1, 1};
  int64_t stride = 1;
  Shortcut shortcut = Shortcut::projection;
  NormOptions norm{NormKind::batch};
};

// Depthwise 3x3 and 1x1, each with norm.
class Separable : public Block {
 public:
  Separable(int64_t in, int64_t out, int64_t stride, int64_t rate, const NormOptions& norm)
      : depthwise_(conv_norm("0", "1",
                             {.in = in,
                              .out = in,
                              .stride = stride,
                              .pad = rate,
                              .dilation = rate,
                              .groups = in,
                              .init = init},
                             norm)),
        pointwise_(conv_norm("3", "4", {.in = in, .out = out, .kernel = 1, .init = init}, norm)) {}
  // `between` and the activation of `last` run behind the norms.
  Variable forward(const Variable& x, Activation between, const ConvNormActOptions& last) const {
    const ModuleScope scope(name());
    return pointwise_(depthwise_(x, {.activation = between, .residual = {}, .out = {}}), last);
  }
  std::string kind() const override { return "SeparableConv"; }

 private:
  ConvNorm depthwise_, pointwise_;
};

class Projection : public Block {
 public:
  explicit Projection(const BlockArgs& a)
      : conv_(conv_norm(
            "0", "1", {.in = a.in, .out = a.out[2], .kernel = 1, .stride = a.stride, .init = init}, a.norm)) {
  }
  Variable forward(const Variable& x) const {
    const ModuleScope scope(name());
    return conv_(x, {.activation = Activation::none, .residual = {}, .out = {}});
  }
  std::string kind() const override { return "Sequential"; }

 private:
  ConvNorm conv_;
};

class XceptionBlock : public Block {
 public:
  explicit XceptionBlock(const BlockArgs& a) : shortcut_(a.shortcut) {
    int64_t in = a.in;
    for (size_t i = 0; i < 3; ++i) {
      separable_[i] = register_module<Separable>(fmt::format("sep{}", i + 1), in, a.out[i],
                                                 i == 2 ? a.stride : 1, a.rates[i], a.norm);
      in = a.out[i];
    }
    if (a.shortcut == Shortcut::projection) projection_ = register_module<Projection>("skip", a);
  }
  // `second`, if given, receives the result of the second separable convolution.
  Variable forward(const Variable& x, Variable* second = nullptr) const {
    const ModuleScope scope(name());
    if (shortcut_ == Shortcut::none) {
      Variable y = x;
      for (const auto& separable : separable_)
        y = separable->forward(y, Activation::relu,
                               {.activation = Activation::relu, .residual = {}, .out = {}});
      return y;
    }
    // The ReLU before a separable convolution runs in the pass of the norm before it.
    const auto activated = [](bool relu) {
      return ConvNormActOptions{
          .activation = relu ? Activation::relu : Activation::none, .residual = {}, .out = {}};
    };
    Variable y = separable_[0]->forward(relu(x), Activation::none, activated(true));
    y = separable_[1]->forward(y, Activation::none, activated(second == nullptr));
    if (second) {
      *second = y;
      y = relu(y);
    }
    ConvNormActOptions last = activated(false);
    last.residual = projection_ ? projection_->forward(x) : x;
    return separable_[2]->forward(y, Activation::none, last);
  }
  std::string kind() const override { return "XceptionBlock"; }

 private:
  const Shortcut shortcut_;
  std::array<std::shared_ptr<Separable>, 3> separable_;
  std::shared_ptr<Projection> projection_;
};

class Xception : public Backbone {
 public:
  explicit Xception(const BackboneOptions& o) {
    ATROUS_CHECK(o.norm != NormKind::none, ErrorKind::config,
                 "[model.norm] {} needs a norm. Got \"none\". Use \"batch\", \"frozen\" or \"group\".",
                 o.name);
    ATROUS_CHECK(o.multi_grid.empty() || o.multi_grid.size() == 3, ErrorKind::config,
                 "[model.multi_grid] must have a factor for each of the 3 last separable convolutions of {}. "
                 "Got {}.",
                 o.name, o.multi_grid.size());
    const NormOptions norm(o.norm, o.norm_eps.value_or(1e-3));
    const auto width = [&](int64_t channels) { return scaled_width(channels, o.width_multiplier); };
    conv1_ = conv_norm(
        "conv1", "bn1",
        {.in = o.in_channels, .out = width(32), .kernel = 3, .stride = 2, .pad = 1, .init = init}, norm);
    conv2_ = conv_norm("conv2", "bn2", {.in = width(32), .out = width(64), .pad = 1, .init = init}, norm);
    BlockArgs a{.in = width(64), .norm = norm};
    BackboneOptions limits = o;
    limits.uniform_dilation = false;  // Xception has only one form
    DilationPlan dilation(limits, 2);
    const auto add = [&](const std::array<int64_t, 3>& channels, int64_t stride, Shortcut shortcut) {
      for (size_t i = 0; i < 3; ++i) a.out[i] = width(channels[i]);
      const DilationPlan::Step step = dilation.next(stride);
      a.stride = step.stride;
      a.rates.fill(step.dilation);
      a.shortcut = shortcut;
      const bool last = shortcut == Shortcut::none;
      for (size_t i = 0; last && i < o.multi_grid.size(); ++i) a.rates[i] *= o.multi_grid[i];
      blocks_.push_back(register_module<XceptionBlock>(fmt::format("block{}", blocks_.size() + 1), a));
      a.in = a.out[2];
    };
    for (const int64_t channels : {128, 256, 728})
      add({channels, channels, channels}, 2, Shortcut::projection);
    for (int i = 0; i < 16; ++i) add({728, 728, 728}, 1, Shortcut::identity);
    add({728, 1024, 1024}, 2, Shortcut::projection);
    add({1536, 1536, 2048}, 1, Shortcut::none);
    channels_ = {o.in_channels, width(64), width(256), width(256), width(728), width(2048)};
  }

  std::string kind() const override { return "Xception"; }

 protected:
  std::vector<Variable> maps(const Variable& image, size_t last) const override {
    Variable x = conv2_(conv1_(image)), low;
    std::vector<Variable> maps{image, x};
    for (size_t i = 0; i < blocks_.size() && maps.size() <= last; ++i) {
      x = blocks_[i]->forward(x, i == 1 ? &low : nullptr);
      if (i == 1) maps.insert(maps.end(), {low, x});
      if (i == 18 || i == 20) maps.push_back(x);
    }
    return maps;
  }

 private:
  ConvNorm conv1_, conv2_;
  std::vector<std::shared_ptr<XceptionBlock>> blocks_;
};

}  // namespace

std::shared_ptr<Backbone> make_xception(const BackboneOptions& options) {
  return std::make_shared<Xception>(options);
}

}  // namespace atrous::nets
