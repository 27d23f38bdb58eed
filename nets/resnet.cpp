// ResNet backbones (He, Zhang, Ren, Sun, "Deep residual learning for image recognition", arXiv:1512.03385) in
// torchvision's form "v1.5": in a bottleneck the stride sits on the 3x3 convolution. torchvision's names.
//
// Stem "plain": 7x7 of stride 2 (conv1, bn1). Stem "deep": three 3x3, the first of stride 2, of 64, 64 and
// 128 channels (PSPNet's code, where they are layer0.0 ... layer0.7); its weights fit no torchvision file.
//
// ResNeXt (Xie et al., "Aggregated residual transformations for deep neural networks", arXiv:1611.05431): the
// 3x3 of a bottleneck has 32 groups.
#include <algorithm>
#include <array>

#include "nets/backbone.h"

namespace atrous::nets {

using namespace layers;

namespace {

constexpr Init init = Init::kaiming_normal_fan_out;

struct BlockArgs {
  int64_t in, width, stride, dilation;
  bool bottleneck;
  int64_t groups, group_width;  // of the 3x3 of a bottleneck at width 64
  NormOptions norm;
  int64_t out() const { return bottleneck ? 4 * width : width; }
  // Channels between the convolutions.
  int64_t inner() const {
    return groups == 1 ? width : std::max<int64_t>(1, width * group_width / 64) * groups;
  }
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
    const int64_t inner = a.inner();
    const auto square = [&](int64_t in, int64_t stride) {
      return Conv2dArgs{.in = in,
                        .out = inner,
                        .kernel = 3,
                        .stride = stride,
                        .pad = a.dilation,
                        .dilation = a.dilation,
                        .groups = a.groups,
                        .init = init};
    };
    if (bottleneck_) {
      first_ = conv_norm("conv1", "bn1", {.in = a.in, .out = inner, .kernel = 1, .init = init}, a.norm);
      second_ = conv_norm("conv2", "bn2", square(inner, a.stride), a.norm);
      third_ = conv_norm("conv3", "bn3", {.in = inner, .out = a.out(), .kernel = 1, .init = init}, a.norm);
    } else {
      first_ = conv_norm("conv1", "bn1", square(a.in, a.stride), a.norm);
      second_ = conv_norm("conv2", "bn2", square(inner, 1), a.norm);
    }
    if (a.stride != 1 || a.in != a.out()) projection_ = register_module<Projection>("downsample", a);
  }
  Variable forward(const Variable& x) const {
    const ModuleScope scope(name());
    Variable shortcut = x;
    if (projection_) {
      const ModuleScope inner(projection_->name());
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
  const char* name;
  bool bottleneck;
  std::array<int64_t, 4> blocks;
  int64_t groups = 1, group_width = 64;
};
constexpr Form forms[] = {{"resnet18", false, {2, 2, 2, 2}},
                          {"resnet34", false, {3, 4, 6, 3}},
                          {"resnet50", true, {3, 4, 6, 3}},
                          {"resnet101", true, {3, 4, 23, 3}},
                          {"resnet152", true, {3, 8, 36, 3}},
                          {"resnext50_32x4d", true, {3, 4, 6, 3}, 32, 4},
                          {"resnext101_32x8d", true, {3, 4, 23, 3}, 32, 8}};

const Form& form_of(const std::string& name) {
  const auto* form =
      std::find_if(std::begin(forms), std::end(forms), [&](const Form& f) { return name == f.name; });
  ATROUS_ASSERT(form != std::end(forms));
  return *form;
}

class Stage : public Block {
 public:
  Stage(BlockArgs next, const std::vector<DilationPlan::Step>& steps) {
    for (const auto& [stride, dilation] : steps) {
      next.stride = stride;
      next.dilation = dilation;
      blocks_.push_back(register_module<ResidualBlock>(std::to_string(blocks_.size()), next));
      next.in = next.out();
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

// layer0 of the deep stem.
class DeepStem : public Block {
 public:
  DeepStem(int64_t in_channels, int64_t width, const NormOptions& norm) {
    const auto conv = [&](int index, int64_t in, int64_t out, int64_t stride) {
      convs_.push_back(
          conv_norm(std::to_string(index), std::to_string(index + 1),
                    {.in = in, .out = out, .kernel = 3, .stride = stride, .pad = 1, .init = init}, norm));
    };
    conv(0, in_channels, width, 2);
    conv(3, width, width, 1);
    conv(6, width, 2 * width, 1);
  }
  Variable forward(Variable x) const {
    const ModuleScope scope(name());
    for (const ConvNorm& conv : convs_) x = conv(x);
    return x;
  }
  std::string kind() const override { return "Sequential"; }

 private:
  std::vector<ConvNorm> convs_;
};

// Stride and dilation of each block of the four stages.
std::array<std::vector<DilationPlan::Step>, 4> plan_stages(const BackboneOptions& o, const Form& form) {
  ATROUS_CHECK(o.multi_grid.empty() || static_cast<int64_t>(o.multi_grid.size()) == form.blocks[3],
               ErrorKind::config,
               "[model.multi_grid] must have a factor for each block of the last stage. Got {} for the {} "
               "blocks of {}.",
               o.multi_grid.size(), form.blocks[3], o.name);
  DilationPlan plan(o, 4);
  std::array<std::vector<DilationPlan::Step>, 4> stages;
  for (size_t s = 0; s < 4; ++s) {
    for (int64_t i = 0; i < form.blocks[s]; ++i) stages[s].push_back(plan.next(s > 0 && i == 0 ? 2 : 1));
  }
  for (size_t i = 0; i < o.multi_grid.size(); ++i) stages[3][i].dilation *= o.multi_grid[i];
  return stages;
}

class ResNet : public Backbone {
 public:
  explicit ResNet(const BackboneOptions& o) {
    const Form& form = form_of(o.name);
    ATROUS_CHECK(o.norm != NormKind::none, ErrorKind::config,
                 "[model.norm] a ResNet needs a norm. Got \"none\". Use \"batch\", \"frozen\" or \"group\".");
    const NormOptions norm(o.norm, o.norm_eps.value_or(1e-5));
    const int64_t width = scaled_width(64, o.width_multiplier);
    int64_t in = width;
    if (o.stem == StemKind::deep) {
      deep_ = register_module<DeepStem>("layer0", o.in_channels, width, norm);
      in = 2 * width;
    } else {
      plain_ = conv_norm(
          "conv1", "bn1",
          {.in = o.in_channels, .out = width, .kernel = 7, .stride = 2, .pad = 3, .init = init}, norm);
    }
    channels_ = {o.in_channels, in};
    const std::array<std::vector<DilationPlan::Step>, 4> plan = plan_stages(o, form);
    for (size_t s = 0; s < 4; ++s) {
      const BlockArgs first{.in = in,
                            .width = width << s,
                            .stride = 1,
                            .dilation = 1,
                            .bottleneck = form.bottleneck,
                            .groups = form.groups,
                            .group_width = form.group_width,
                            .norm = norm};
      stages_[s] = register_module<Stage>(fmt::format("layer{}", s + 1), first, plan[s]);
      channels_.push_back(in = first.out());
    }
  }

  std::string kind() const override { return "ResNet"; }

 protected:
  std::vector<Variable> maps(const Variable& image, size_t last) const override {
    std::vector<Variable> maps{image, deep_ ? deep_->forward(image) : plain_(image)};
    Variable x = max_pool2d(maps[1], Pool2dOptions::square(3, 2, 1));
    for (size_t s = 0; s + 2 <= last; ++s) maps.push_back(x = stages_[s]->forward(x));
    return maps;
  }

 private:
  ConvNorm plain_;
  std::shared_ptr<DeepStem> deep_;
  std::array<std::shared_ptr<Stage>, 4> stages_;
};

}  // namespace

std::shared_ptr<Backbone> make_resnet(const BackboneOptions& options) {
  return std::make_shared<ResNet>(options);
}

}  // namespace atrous::nets
