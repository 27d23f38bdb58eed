// MobileNetV2 (Sandler et al., "MobileNetV2: Inverted residuals and linear bottlenecks", arXiv:1801.04381) in
// torchvision's form and names ("0.0", "1.conv.0.0", ...). A block widens its input t times (1x1), filters
// each channel (depthwise 3x3) and narrows again (1x1, no activation); ReLU6 behind the first two.
#include <algorithm>

#include "nets/backbone.h"

namespace atrous::nets {

using namespace layers;

namespace {

constexpr Init init = Init::kaiming_normal_fan_out;

// A convolution with norm as a separate module: "0" and "1".
struct ConvBn : Block {
  ConvBn(const Conv2dArgs& args, const NormOptions& norm) : conv(conv_norm("0", "1", args, norm)) {}
  Variable forward(const Variable& x) const {
    const ModuleScope scope(name());
    return conv(x, {.activation = Activation::relu6, .residual = {}, .out = {}});
  }
  std::string kind() const override { return "Conv2dNormActivation"; }
  ConvNorm conv;
};

struct BlockArgs {
  int64_t in, out, expansion, stride, dilation;
  NormOptions norm;
};

class InvertedResidual : public Block {
 public:
  explicit InvertedResidual(const BlockArgs& a)
      : shortcut_(a.stride == 1 && a.in == a.out), layers_(register_module<Layers>("conv", a)) {}
  Variable forward(const Variable& x) const {
    const ModuleScope scope(name());
    const ModuleScope inner(layers_->name());
    Variable y = layers_->expand ? layers_->expand->forward(x) : x;
    y = layers_->depthwise->forward(y);
    return layers_->project(
        y, {.activation = Activation::none, .residual = shortcut_ ? x : Variable(), .out = {}});
  }
  std::string kind() const override { return "InvertedResidual"; }

 private:
  struct Layers : Block {
    explicit Layers(const BlockArgs& a) {
      const int64_t wide = a.in * a.expansion;
      int index = 0;
      if (a.expansion != 1) {
        const Conv2dArgs args{.in = a.in, .out = wide, .kernel = 1, .init = init};
        expand = register_module<ConvBn>(std::to_string(index++), args, a.norm);
      }
      depthwise = register_module<ConvBn>(std::to_string(index),
                                          Conv2dArgs{.in = wide,
                                                     .out = wide,
                                                     .stride = a.stride,
                                                     .pad = a.dilation,
                                                     .dilation = a.dilation,
                                                     .groups = wide,
                                                     .init = init},
                                          a.norm);
      project = conv_norm(std::to_string(index + 1), std::to_string(index + 2),
                          {.in = wide, .out = a.out, .kernel = 1, .init = init}, a.norm);
    }
    std::string kind() const override { return "Sequential"; }
    std::shared_ptr<ConvBn> expand, depthwise;  // expand: null where the expansion is 1
    ConvNorm project;
  };
  const bool shortcut_;
  const std::shared_ptr<Layers> layers_;
};

// Table 2 of the paper: n blocks of c channels, the first of stride s, with expansion t.
struct Row {
  int64_t t, c, n, s;
};
constexpr Row rows[] = {{1, 16, 1, 1}, {6, 24, 2, 2},  {6, 32, 3, 2}, {6, 64, 4, 2},
                        {6, 96, 3, 1}, {6, 160, 3, 2}, {6, 320, 1, 1}};

class MobileNetV2 : public Backbone {
 public:
  explicit MobileNetV2(const BackboneOptions& o) {
    const NormOptions norm(o.norm, o.norm_eps.value_or(1e-5));
    DilationPlan plan(o, 2);
    int64_t in = divisible_width(32, o.width_multiplier);
    first_ = register_module<ConvBn>(
        "0", Conv2dArgs{.in = o.in_channels, .out = in, .stride = 2, .pad = 1, .init = init}, norm);
    channels_ = {o.in_channels};
    for (const Row& row : rows) {
      for (int64_t i = 0; i < row.n; ++i) {
        const auto [stride, dilation] = plan.next(i == 0 ? row.s : 1);
        // A stage ends where the next one halves the resolution or would have.
        if (i == 0 && row.s == 2) end_stage(in);
        const BlockArgs args{in, divisible_width(row.c, o.width_multiplier), row.t, stride, dilation, norm};
        blocks_.push_back(register_module<InvertedResidual>(std::to_string(blocks_.size() + 1), args));
        in = args.out;
      }
    }
    if (o.last_conv) {
      const int64_t out = divisible_width(1280, std::max(1.0, o.width_multiplier));
      last_ = register_module<ConvBn>(std::to_string(blocks_.size() + 1),
                                      Conv2dArgs{.in = in, .out = out, .kernel = 1, .init = init}, norm);
      in = out;
    }
    end_stage(in);
  }

  std::string kind() const override { return "MobileNetV2"; }

 protected:
  // [i]: the last map of each resolution.
  std::vector<Variable> maps(const Variable& image, size_t last) const override {
    std::vector<Variable> maps{image};
    Variable x = first_->forward(image);
    for (size_t i = 0; i < blocks_.size() && maps.size() <= last; ++i) {
      x = blocks_[i]->forward(x);
      if (i + 1 == ends_[maps.size() - 1] && maps.size() < ends_.size()) maps.push_back(x);
    }
    if (maps.size() <= last) maps.push_back(last_ ? last_->forward(x) : x);
    return maps;
  }

 private:
  void end_stage(int64_t channels) {
    ends_.push_back(blocks_.size());
    channels_.push_back(channels);
  }

  std::shared_ptr<ConvBn> first_, last_;
  std::vector<std::shared_ptr<InvertedResidual>> blocks_;
  std::vector<size_t> ends_;  // blocks up to the end of each stage
};

}  // namespace

std::shared_ptr<Backbone> make_mobilenet_v2(const BackboneOptions& options) {
  return std::make_shared<MobileNetV2>(options);
}

}  // namespace atrous::nets
