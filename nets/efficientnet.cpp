// EfficientNet (Tan, Le, "EfficientNet: Rethinking model scaling for convolutional neural networks",
// arXiv:1905.11946) and EfficientNet-Lite (its form for mobile devices) under timm's names: conv_stem, bn1,
// blocks.S.B.{conv_pw,bn1,conv_dw,bn2,se.conv_reduce,se.conv_expand,conv_pwl,bn3}, conv_head, bn2. In stage 0
// nothing is widened: conv_dw, bn1, se.*, conv_pw, bn2.
//
// As published, convolutions of stride 2 have TensorFlow's "same" padding: at even sizes one column and row
// more at the end than at the beginning. A convolution here pads both sides alike, so a pad op runs before
// it. With conv_padding "symmetric", as torchvision and timm's networks without "tf_" have it, there is none.
//
// Batch norm: eps 1e-3, momentum 0.01. drop_path is stochastic depth (Huang et al., arXiv:1603.09382): in
// training the blocks with a shortcut are left out per image, the later the more often.
#include "nets/efficientnet.h"

#include <algorithm>
#include <cmath>

#include "layers/adaptive_avg_pool2d.h"
#include "layers/pad.h"
#include "layers/pointwise.h"
#include "layers/reshape.h"
#include "nets/backbone.h"
#include "nets/module_list.h"

namespace atrous::nets {

using namespace layers;

namespace {

constexpr EfficientNetForm forms[] = {
    {"efficientnet_lite0", 1.0, 1.0, 0.2, true}, {"efficientnet_lite1", 1.0, 1.1, 0.2, true},
    {"efficientnet_lite2", 1.1, 1.2, 0.3, true}, {"efficientnet_lite3", 1.2, 1.4, 0.3, true},
    {"efficientnet_lite4", 1.4, 1.8, 0.3, true}, {"efficientnet_b0", 1.0, 1.0, 0.2, false},
    {"efficientnet_b1", 1.0, 1.1, 0.2, false},   {"efficientnet_b2", 1.1, 1.2, 0.3, false},
    {"efficientnet_b3", 1.2, 1.4, 0.3, false},   {"efficientnet_b4", 1.4, 1.8, 0.4, false},
    {"efficientnet_b5", 1.6, 2.2, 0.4, false},   {"efficientnet_b6", 1.8, 2.6, 0.5, false},
    {"efficientnet_b7", 2.0, 3.1, 0.5, false},
};

// Table 1 of the paper.
struct Row {
  int64_t repeats, kernel, stride, expansion, channels;
};
constexpr Row rows[] = {{1, 3, 1, 1, 16},  {2, 3, 2, 6, 24},  {2, 5, 2, 6, 40}, {3, 3, 2, 6, 80},
                        {3, 5, 1, 6, 112}, {4, 5, 2, 6, 192}, {1, 3, 1, 6, 320}};
constexpr size_t last_row = std::size(rows) - 1;
constexpr int64_t stem_channels = 32, head_channels = 1280;

constexpr Init init = Init::kaiming_normal_fan_out;

// What all blocks of a network share.
struct Common {
  NormOptions norm;
  ConvPadding padding;
  bool lite;
};

// The activation behind a convolution and its norm.
Variable activated(const ConvNorm& conv, const Variable& x, bool lite) {
  if (lite) return conv(x, {.activation = Activation::relu6, .residual = {}, .out = {}});
  return silu(conv(x, {.activation = Activation::none, .residual = {}, .out = {}}));
}

// The padding of a square convolution with an odd kernel. TensorFlow's, for stride 2, lacks the first row and
// column at even sizes: pad_same adds the rest.
int64_t pad_of(int64_t kernel, int64_t stride, int64_t dilation, ConvPadding padding) {
  const int64_t same = (kernel - 1) / 2 * dilation;
  return stride == 2 && padding == ConvPadding::tensorflow ? same - 1 : same;
}
Variable pad_same(const Variable& x, int64_t stride, ConvPadding padding) {
  if (stride == 1 || padding == ConvPadding::symmetric) return x;
  return pad(x, {.top = x.dim(1) % 2, .bottom = 1, .left = x.dim(2) % 2, .right = 1});
}

// Squeeze and excitation (Hu et al., arXiv:1709.01507): every channel is scaled by a factor in (0, 1) that
// two 1x1 convolutions compute from the means of all channels.
class SqueezeExcite : public Block {
 public:
  SqueezeExcite(int64_t channels, int64_t squeezed)
      : reduce_(register_module<Conv2d>(
            "conv_reduce", Conv2dArgs{.in = channels, .out = squeezed, .kernel = 1, .init = init})),
        expand_(register_module<Conv2d>(
            "conv_expand", Conv2dArgs{.in = squeezed, .out = channels, .kernel = 1, .init = init})) {}
  Variable forward(const Variable& x) const {
    const ModuleScope scope(name());
    return mul(x, sigmoid(expand_->forward(silu(reduce_->forward(global_avg_pool2d(x))))));
  }
  std::string kind() const override { return "SqueezeExcite"; }

 private:
  const std::shared_ptr<Conv2d> reduce_, expand_;
};

struct BlockArgs {
  int64_t in, out, kernel, expansion, stride, dilation;
  double drop_path;  // probability
};

// Widens (1x1), filters each channel, weighs the channels, narrows (1x1, no activation).
class InvertedResidual : public Block {
 public:
  InvertedResidual(const BlockArgs& a, const Common& common)
      : shortcut_(a.stride == 1 && a.in == a.out), stride_(a.stride), common_(common) {
    const int64_t wide = a.in * a.expansion;
    const Conv2dArgs filter{.in = wide,
                            .out = wide,
                            .kernel = a.kernel,
                            .stride = a.stride,
                            .pad = pad_of(a.kernel, a.stride, a.dilation, common.padding),
                            .dilation = a.dilation,
                            .groups = wide,
                            .init = init};
    const Conv2dArgs narrow{.in = wide, .out = a.out, .kernel = 1, .init = init};
    const bool widens = a.expansion != 1;
    if (widens)
      expand_ =
          conv_norm("conv_pw", "bn1", {.in = a.in, .out = wide, .kernel = 1, .init = init}, common.norm);
    depthwise_ = conv_norm("conv_dw", widens ? "bn2" : "bn1", filter, common.norm);
    if (!common.lite) squeeze_ = register_module<SqueezeExcite>("se", wide, std::max<int64_t>(1, a.in / 4));
    project_ = conv_norm(widens ? "conv_pwl" : "conv_pw", widens ? "bn3" : "bn2", narrow, common.norm);
    if (shortcut_ && a.drop_path > 0)
      drop_path_ = register_module<Dropout>("drop_path", a.drop_path, /*by_channel=*/true);
  }
  Variable forward(const Variable& x) const {
    const ModuleScope scope(name());
    Variable y = expand_.conv ? activated(expand_, x, common_.lite) : x;
    y = activated(depthwise_, pad_same(y, stride_, common_.padding), common_.lite);
    if (squeeze_) y = squeeze_->forward(y);
    const bool drops = drop_path_ && training();
    y = project_(
        y, {.activation = Activation::none, .residual = shortcut_ && !drops ? x : Variable(), .out = {}});
    return drops ? add(x, without_dropped_images(y)) : y;
  }
  std::string kind() const override { return "InvertedResidual"; }

 private:
  // An image as one channel of many pixels: dropped or kept as a whole.
  Variable without_dropped_images(const Variable& y) const {
    const Variable whole = reshape(y, {y.dim(0), 1, y.dim(1) * y.dim(2) * y.dim(3), 1});
    return reshape(drop_path_->forward(whole), y.shape());
  }

  const bool shortcut_;
  const int64_t stride_;
  const Common common_;
  ConvNorm expand_, depthwise_, project_;   // expand_: null where the expansion is 1
  std::shared_ptr<SqueezeExcite> squeeze_;  // null in Lite networks
  std::shared_ptr<Dropout> drop_path_;      // null if nothing is dropped
};

class EfficientNet : public Backbone {
 public:
  explicit EfficientNet(const BackboneOptions& o)
      : form_(*find_efficientnet(o.name)),
        published_width_(o.width_multiplier == 1),
        common_{NormOptions(o.norm, o.norm_eps.value_or(1e-3), 0.01),
                o.conv_padding.value_or(ConvPadding::tensorflow), form_.lite} {
    const auto unscaled = [&](int64_t c) { return divisible_width(c, o.width_multiplier); };
    const auto scaled = [&](int64_t c) { return divisible_width(c, form_.width * o.width_multiplier); };
    int64_t in = form_.lite ? unscaled(stem_channels) : scaled(stem_channels);
    stem_ = conv_norm(
        "conv_stem", "bn1",
        {.in = o.in_channels, .out = in, .stride = 2, .pad = pad_of(3, 2, 1, common_.padding), .init = init},
        common_.norm);
    channels_ = {o.in_channels, in};
    stages_ = register_module<ModuleList<ModuleList<InvertedResidual>>>("blocks");
    DilationPlan plan(o, 2);
    const std::vector<int64_t> repeats = form_.repeats();
    double total = 0;
    for (const int64_t n : repeats) total += static_cast<double>(n);
    int64_t before = 0;  // blocks
    for (size_t s = 0; s < repeats.size(); ++s) {
      stages_->append();
      for (int64_t i = 0; i < repeats[s]; ++i) {
        const auto [stride, dilation] = plan.next(i == 0 ? rows[s].stride : 1);
        const BlockArgs args{in,
                             scaled(rows[s].channels),
                             rows[s].kernel,
                             rows[s].expansion,
                             stride,
                             dilation,
                             o.drop_path * static_cast<double>(before++) / total};
        stages_->items[s]->append(args, common_);
        in = args.out;
      }
      if (ends_map(s)) channels_.push_back(in);
    }
    if (o.last_conv) {
      const int64_t out = form_.lite ? unscaled(head_channels) : scaled(head_channels);
      head_ = conv_norm("conv_head", "bn2", {.in = in, .out = out, .kernel = 1, .init = init}, common_.norm);
      channels_.push_back(out);
    }
  }

  std::string kind() const override { return "EfficientNet"; }
  EfficientNetInside described() const {
    return {published_width_ ? &form_ : nullptr, common_.padding, common_.norm.eps};
  }

 protected:
  // [1] is the stem's, [2] ... [5] the last of each resolution.
  std::vector<Variable> maps(const Variable& image, size_t last) const override {
    std::vector<Variable> maps{image, activated(stem_, pad_same(image, 2, common_.padding), common_.lite)};
    Variable x = maps[1];
    for (size_t s = 0; s < stages_->items.size() && maps.size() <= last; ++s) {
      x = run_stage(*stages_->items[s], x);
      if (ends_map(s)) maps.push_back(x);
    }
    if (head_.conv && maps.size() <= last) maps.push_back(activated(head_, x, common_.lite));
    return maps;
  }

 private:
  // A map ends where the next stage halves the resolution or would have.
  static bool ends_map(size_t s) { return s == last_row || (s > 0 && rows[s + 1].stride == 2); }

  Variable run_stage(const ModuleList<InvertedResidual>& stage, Variable x) const {
    const ModuleScope outer(stages_->name());
    const ModuleScope inner(stage.name());
    for (const auto& block : stage.items) x = block->forward(x);
    return x;
  }

  const EfficientNetForm& form_;
  const bool published_width_;
  const Common common_;
  ConvNorm stem_, head_;
  std::shared_ptr<ModuleList<ModuleList<InvertedResidual>>> stages_;
};

}  // namespace

std::vector<int64_t> EfficientNetForm::repeats() const {
  std::vector<int64_t> result;
  for (size_t s = 0; s <= last_row; ++s) {
    const bool fixed = lite && (s == 0 || s == last_row);
    const auto n = static_cast<double>(rows[s].repeats);
    result.push_back(static_cast<int64_t>(fixed ? n : std::ceil(n * depth)));
  }
  return result;
}

int64_t EfficientNetForm::channels(int64_t of_smallest) const {
  return divisible_width(of_smallest, width);
}

std::span<const EfficientNetForm> efficientnet_forms() {
  return forms;
}

const EfficientNetForm* find_efficientnet(std::string_view name) {
  const auto* form = std::find_if(std::begin(forms), std::end(forms),
                                  [&](const EfficientNetForm& f) { return name == f.name; });
  return form == std::end(forms) ? nullptr : form;
}

std::optional<EfficientNetInside> efficientnet_in(const Module& network) {
  if (const auto* found = dynamic_cast<const EfficientNet*>(&network)) return found->described();
  for (const auto& [name, child] : network.children()) {
    if (const auto inside = efficientnet_in(*child)) return inside;
  }
  return std::nullopt;
}

std::shared_ptr<Backbone> make_efficientnet(const BackboneOptions& options) {
  return std::make_shared<EfficientNet>(options);
}

}  // namespace atrous::nets
