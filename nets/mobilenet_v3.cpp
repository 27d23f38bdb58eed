// MobileNetV3, Large and Small (Howard et al., "Searching for MobileNetV3", arXiv:1905.02244) in
// torchvision's form and names ("0.0", "1.block.0.0", ...): inverted residuals, some with squeeze and
// excitation, ReLU in the first stages and hard swish after them. Batch norm has eps 1e-3 and momentum 0.01.
#include <span>

#include "layers/adaptive_avg_pool2d.h"
#include "layers/pointwise.h"
#include "nets/backbone.h"

namespace atrous::nets {

using namespace layers;

namespace {

constexpr Init init = Init::kaiming_normal_fan_out;
enum class Act : unsigned char { none, relu, hard_swish };

// A convolution with norm and activation as a separate module: "0" and "1".
struct ConvBn : Block {
  ConvBn(const Conv2dArgs& args, const NormOptions& norm, Act act)
      : conv(conv_norm("0", "1", args, norm)), activation(act) {}
  Variable forward(const Variable& x, const Variable& residual = {}) const {
    const ModuleScope scope(name());
    const Activation fused = activation == Act::relu ? Activation::relu : Activation::none;
    const Variable y = conv(x, {.activation = fused, .residual = residual, .out = {}});
    return activation == Act::hard_swish ? hard_swish(y) : y;
  }
  std::string kind() const override { return "Conv2dNormActivation"; }
  ConvNorm conv;
  const Act activation;
};

// Squeeze and excitation (Hu et al., arXiv:1709.01507): every channel is scaled by a factor in [0, 1] that
// two 1x1 convolutions compute from the means of all channels.
class SqueezeExcitation : public Block {
 public:
  explicit SqueezeExcitation(int64_t channels) {
    const int64_t squeezed = divisible_width(channels / 4, 1);
    fc1_ = register_module<Conv2d>("fc1",
                                   Conv2dArgs{.in = channels, .out = squeezed, .kernel = 1, .init = init});
    fc2_ = register_module<Conv2d>("fc2",
                                   Conv2dArgs{.in = squeezed, .out = channels, .kernel = 1, .init = init});
  }
  Variable forward(const Variable& x) const {
    const ModuleScope scope(name());
    const Variable means = fc1_->forward(global_avg_pool2d(x), Activation::relu);
    return mul(x, hard_sigmoid(fc2_->forward(means)));
  }
  std::string kind() const override { return "SqueezeExcitation"; }

 private:
  std::shared_ptr<Conv2d> fc1_, fc2_;
};

struct BlockArgs {
  int64_t in, wide, out, kernel, stride, dilation;
  bool squeeze;
  Act activation;
};

class InvertedResidual : public Block {
 public:
  InvertedResidual(const BlockArgs& a, const NormOptions& norm)
      : shortcut_(a.stride == 1 && a.in == a.out), layers_(register_module<Layers>("block", a, norm)) {}
  Variable forward(const Variable& x) const {
    const ModuleScope scope(name());
    const ModuleScope inner(layers_->name());
    Variable y = layers_->expand ? layers_->expand->forward(x) : x;
    y = layers_->depthwise->forward(y);
    if (layers_->squeeze) y = layers_->squeeze->forward(y);
    return layers_->project->forward(y, shortcut_ ? x : Variable());
  }
  std::string kind() const override { return "InvertedResidual"; }

 private:
  struct Layers : Block {
    Layers(const BlockArgs& a, const NormOptions& norm) {
      int index = 0;
      const auto next = [&] { return std::to_string(index++); };
      if (a.wide != a.in) {
        const Conv2dArgs args{.in = a.in, .out = a.wide, .kernel = 1, .init = init};
        expand = register_module<ConvBn>(next(), args, norm, a.activation);
      }
      const Conv2dArgs filter{.in = a.wide,
                              .out = a.wide,
                              .kernel = a.kernel,
                              .stride = a.stride,
                              .pad = (a.kernel - 1) / 2 * a.dilation,
                              .dilation = a.dilation,
                              .groups = a.wide,
                              .init = init};
      depthwise = register_module<ConvBn>(next(), filter, norm, a.activation);
      if (a.squeeze) squeeze = register_module<SqueezeExcitation>(next(), a.wide);
      const Conv2dArgs narrow{.in = a.wide, .out = a.out, .kernel = 1, .init = init};
      project = register_module<ConvBn>(next(), narrow, norm, Act::none);
    }
    std::string kind() const override { return "Sequential"; }
    std::shared_ptr<ConvBn> expand, depthwise, project;  // expand: null if nothing is widened
    std::shared_ptr<SqueezeExcitation> squeeze;          // null if there is none
  };
  const bool shortcut_;
  const std::shared_ptr<Layers> layers_;
};

// Tables 1 and 2 of the paper.
struct Row {
  int64_t kernel, wide, out;
  bool squeeze;
  Act activation;
  int64_t stride;
};
constexpr Row large[] = {{3, 16, 16, false, Act::relu, 1},        {3, 64, 24, false, Act::relu, 2},
                         {3, 72, 24, false, Act::relu, 1},        {5, 72, 40, true, Act::relu, 2},
                         {5, 120, 40, true, Act::relu, 1},        {5, 120, 40, true, Act::relu, 1},
                         {3, 240, 80, false, Act::hard_swish, 2}, {3, 200, 80, false, Act::hard_swish, 1},
                         {3, 184, 80, false, Act::hard_swish, 1}, {3, 184, 80, false, Act::hard_swish, 1},
                         {3, 480, 112, true, Act::hard_swish, 1}, {3, 672, 112, true, Act::hard_swish, 1},
                         {5, 672, 160, true, Act::hard_swish, 2}, {5, 960, 160, true, Act::hard_swish, 1},
                         {5, 960, 160, true, Act::hard_swish, 1}};

constexpr Row small[] = {{3, 16, 16, true, Act::relu, 2},        {3, 72, 24, false, Act::relu, 2},
                         {3, 88, 24, false, Act::relu, 1},       {5, 96, 40, true, Act::hard_swish, 2},
                         {5, 240, 40, true, Act::hard_swish, 1}, {5, 240, 40, true, Act::hard_swish, 1},
                         {5, 120, 48, true, Act::hard_swish, 1}, {5, 144, 48, true, Act::hard_swish, 1},
                         {5, 288, 96, true, Act::hard_swish, 2}, {5, 576, 96, true, Act::hard_swish, 1},
                         {5, 576, 96, true, Act::hard_swish, 1}};

class MobileNetV3 : public Backbone {
 public:
  MobileNetV3(const BackboneOptions& o, std::span<const Row> rows) {
    const NormOptions norm(o.norm, o.norm_eps.value_or(1e-3), 0.01);
    const auto width = [&](int64_t channels) { return divisible_width(channels, o.width_multiplier); };
    DilationPlan plan(o, 2);
    int64_t in = width(16);
    first_ = register_module<ConvBn>(
        "0", Conv2dArgs{.in = o.in_channels, .out = in, .stride = 2, .pad = 1, .init = init}, norm,
        Act::hard_swish);
    channels_ = {o.in_channels, in};
    for (const Row& row : rows) {
      const auto [stride, dilation] = plan.next(row.stride);
      const BlockArgs args{in,     width(row.wide), width(row.out), row.kernel,
                           stride, dilation,        row.squeeze,    row.activation};
      in = args.out;
      if (row.stride == 2 && channels_.size() < 5) {
        taps_.push_back(blocks_.size());
        channels_.push_back(in);
      }
      blocks_.push_back(register_module<InvertedResidual>(std::to_string(blocks_.size() + 1), args, norm));
    }
    if (o.last_conv) {
      last_ = register_module<ConvBn>(std::to_string(blocks_.size() + 1),
                                      Conv2dArgs{.in = in, .out = 6 * in, .kernel = 1, .init = init}, norm,
                                      Act::hard_swish);
      in *= 6;
    }
    channels_.push_back(in);
  }

  std::string kind() const override { return "MobileNetV3"; }

 protected:
  // [1] ... [4]: the first map of each resolution, as torchvision's networks use them; [5]: the last of all.
  std::vector<Variable> maps(const Variable& image, size_t last) const override {
    std::vector<Variable> maps{image, first_->forward(image)};
    Variable x = maps[1];
    for (size_t i = 0; i < blocks_.size() && maps.size() <= last; ++i) {
      x = blocks_[i]->forward(x);
      if (maps.size() < taps_.size() + 2 && i == taps_[maps.size() - 2]) maps.push_back(x);
    }
    if (maps.size() <= last) maps.push_back(last_ ? last_->forward(x) : x);
    return maps;
  }

 private:
  std::shared_ptr<ConvBn> first_, last_;
  std::vector<std::shared_ptr<InvertedResidual>> blocks_;
  std::vector<size_t> taps_;  // blocks whose results are maps 2, 3 and 4
};

}  // namespace

std::shared_ptr<Backbone> make_mobilenet_v3(const BackboneOptions& options) {
  const bool is_small = options.name == "mobilenet_v3_small";
  return std::make_shared<MobileNetV3>(options, is_small ? std::span<const Row>(small) : large);
}

}  // namespace atrous::nets
