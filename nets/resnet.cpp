#include "nets/resnet.h"

#include <optional>

#include "layers/trace.h"

namespace atrous::nets {

using namespace layers;

namespace {

constexpr Init init = Init::kaiming_normal_fan_out;

struct BlockArgs {
  int64_t in, width, stride, dilation;
  bool bottleneck;
  std::string norm;
  int64_t out() const { return bottleneck ? 4 * width : width; }
};

// The 1x1 projection of a shortcut that changes size: "downsample.0" and "downsample.1".
struct Projection : Block {
  explicit Projection(const BlockArgs& a)
      : conv(conv_norm("0", "1", {.in = a.in, .out = a.out(), .kernel = 1, .stride = a.stride, .init = init},
                       a.norm)) {}
  std::string kind() const override { return "Sequential"; }
  ConvNorm conv;
};

// Basic block: 3x3 (stride), 3x3. Bottleneck: 1x1, 3x3 (stride, dilation), 1x1 to four times the width. The
// sum with the shortcut and the last ReLU run in the pass of the last norm.
class ResidualBlock : public Block {
 public:
  explicit ResidualBlock(const BlockArgs& a) : bottleneck_(a.bottleneck) {
    const auto square = [&](int64_t in, int64_t stride) {
      return Conv2dArgs{.in = in,
                        .out = a.width,
                        .kernel = 3,
                        .stride = stride,
                        .pad = a.dilation,
                        .dilation = a.dilation,
                        .init = init};
    };
    if (bottleneck_) {
      first_ = conv_norm("conv1", "bn1", {.in = a.in, .out = a.width, .kernel = 1, .init = init}, a.norm);
      second_ = conv_norm("conv2", "bn2", square(a.width, a.stride), a.norm);
      third_ = conv_norm("conv3", "bn3", {.in = a.width, .out = a.out(), .kernel = 1, .init = init}, a.norm);
    } else {
      first_ = conv_norm("conv1", "bn1", square(a.in, a.stride), a.norm);
      second_ = conv_norm("conv2", "bn2", square(a.width, 1), a.norm);
    }
    if (a.stride != 1 || a.in != a.out()) projection_ = register_module<Projection>("downsample", a);
  }
  Variable forward(const Variable& x) const {
    const ModuleScope scope(name());
    Variable shortcut = x;
    if (projection_) {
      const ModuleScope inner(projection_->name());
      const BranchScope branch;
      shortcut = projection_->conv(x, {.activation = Activation::none, .residual = {}, .out = {}});
    }
    const ConvNormActOptions last{.activation = Activation::relu, .residual = shortcut, .out = {}};
    if (!bottleneck_) return second_(first_(x), last);
    return third_(second_(first_(x)), last);
  }
  std::string kind() const override { return bottleneck_ ? "Bottleneck" : "BasicBlock"; }

 private:
  const bool bottleneck_;
  ConvNorm first_, second_, third_;
  std::shared_ptr<Projection> projection_;
};

struct Form {
  int64_t layers;
  bool bottleneck;
  std::array<int64_t, 4> blocks;
};
constexpr Form forms[] = {{18, false, {2, 2, 2, 2}},
                          {34, false, {3, 4, 6, 3}},
                          {50, true, {3, 4, 6, 3}},
                          {101, true, {3, 4, 23, 3}},
                          {152, true, {3, 8, 36, 3}}};

const Form& form_of(const ResNetOptions& o) {
  for (const Form& f : forms) {
    if (f.layers == o.layers) return f;
  }
  fail(ErrorKind::config, "[resnet] there are forms with 18, 34, 50, 101 and 152 layers. Got {}.", o.layers);
}

}  // namespace

class ResNetStage : public Block {
 public:
  // `first_dilation` is that of the first block, `a` describes it otherwise; the other blocks have stride 1.
  ResNetStage(BlockArgs a, int64_t first_dilation, int64_t count) {
    const int64_t dilation = a.dilation;
    a.dilation = first_dilation;
    for (int64_t i = 0; i < count; ++i) {
      blocks_.push_back(register_module<ResidualBlock>(std::to_string(i), a));
      a.in = a.out();
      a.stride = 1;
      a.dilation = dilation;
    }
  }
  Variable forward(Variable x) const {
    const ModuleScope scope(name());
    for (const auto& block : blocks_) x = block->forward(x);
    return x;
  }
  std::string kind() const override { return "Sequential"; }

 private:
  std::vector<std::shared_ptr<ResidualBlock>> blocks_;
};

ResNet::ResNet(const ResNetOptions& o) {
  const Form& form = form_of(o);
  ATROUS_CHECK(
      o.norm != "none", ErrorKind::config,
      "[resnet] a ResNet needs a norm. Got model.norm \"none\". Use \"batch\", \"frozen\" or \"group\".");
  ATROUS_CHECK(form.bottleneck || !(o.dilate[0] || o.dilate[1] || o.dilate[2]), ErrorKind::config,
               "[resnet] only bottleneck forms (50 layers and more) can be dilated. Got {} layers.",
               o.layers);
  stem_ =
      conv_norm("conv1", "bn1",
                {.in = o.in_channels, .out = 64, .kernel = 7, .stride = 2, .pad = 3, .init = init}, o.norm);
  int64_t in = 64, dilation = 1;
  for (size_t s = 0; s < 4; ++s) {
    BlockArgs a{.in = in,
                .width = int64_t{64} << s,
                .stride = s == 0 ? 1 : 2,
                .dilation = dilation,
                .bottleneck = form.bottleneck,
                .norm = o.norm};
    const int64_t before = dilation;
    if (s > 0 && o.dilate[s - 1]) {
      dilation *= a.stride;
      a.stride = 1;
      a.dilation = dilation;
    }
    stages_[s] = register_module<ResNetStage>(fmt::format("layer{}", s + 1), a, before, form.blocks[s]);
    channels_[s] = in = a.out();
  }
}

std::array<Variable, 4> ResNet::forward(const Variable& image) const {
  const ModuleScope scope(name());
  std::array<Variable, 4> results;
  Variable x = traced_max_pool(stem_(image), Pool2dOptions::square(3, 2, 1));
  for (size_t s = 0; s < 4; ++s) results[s] = x = stages_[s]->forward(x);
  return results;
}

}  // namespace atrous::nets
