// ResNet backbones (He, Zhang, Ren, Sun, "Deep residual learning for image recognition", arXiv:1512.03385) in
// torchvision's form "v1.5": in a bottleneck the stride sits on the 3x3 convolution. torchvision's names.
//
// Stem "plain": 7x7 of stride 2 (conv1, bn1). Stem "deep": three 3x3, the first of stride 2, of 64, 64 and
// 128 channels (PSPNet's code, where they are layer0.0 ... layer0.7); its weights fit no torchvision file.
#include <array>
#include <optional>

#include "layers/trace.h"
#include "nets/backbone.h"

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

const Form& form_of(const std::string& name) {
  for (const Form& f : forms) {
    if (name == fmt::format("resnet{}", f.layers)) return f;
  }
  fail(ErrorKind::config,
       "[model.backbone] a ResNet has 18, 34, 50, 101 or 152 layers. Got \"{}\". Use for example "
       "\"resnet50\".",
       name);
}

class Stage : public Block {
 public:
  // Block i has stride `first.stride` for i = 0 and 1 after it, and dilation rates[i].
  Stage(BlockArgs first, const std::vector<int64_t>& rates) {
    for (size_t i = 0; i < rates.size(); ++i) {
      first.dilation = rates[i];
      blocks_.push_back(register_module<ResidualBlock>(std::to_string(i), first));
      first.in = first.out();
      first.stride = 1;
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
  DeepStem(int64_t in_channels, int64_t width, const std::string& norm) {
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

// The dilation of each block of stage s (0 ... 3), and whether the stage keeps its stride of 2.
struct StagePlan {
  bool strided = false;
  std::vector<int64_t> rates;
};
std::array<StagePlan, 4> plan_stages(const BackboneOptions& o, const Form& form) {
  ATROUS_CHECK(o.multi_grid.empty() || static_cast<int64_t>(o.multi_grid.size()) == form.blocks[3],
               ErrorKind::config,
               "[model.multi_grid] must have a factor for each block of the last stage. Got {} for the {} "
               "blocks of {}.",
               o.multi_grid.size(), form.blocks[3], o.name);
  std::array<StagePlan, 4> plan;
  int64_t stride = 4, rate = 1;
  for (size_t s = 0; s < 4; ++s) {
    const int64_t before = rate;
    if (s > 0 && stride < o.output_stride) {
      plan[s].strided = true;
      stride *= 2;
    } else if (s > 0) {
      rate *= 2;
    }
    plan[s].rates.assign(static_cast<size_t>(form.blocks[s]), rate);
    if (!o.uniform_dilation) plan[s].rates[0] = before;
  }
  for (size_t i = 0; i < o.multi_grid.size(); ++i) plan[3].rates[i] *= o.multi_grid[i];
  return plan;
}

class ResNet : public Backbone {
 public:
  explicit ResNet(const BackboneOptions& o) {
    const Form& form = form_of(o.name);
    ATROUS_CHECK(o.norm != "none", ErrorKind::config,
                 "[model.norm] a ResNet needs a norm. Got \"none\". Use \"batch\", \"frozen\" or \"group\".");
    ATROUS_CHECK(o.stem == "plain" || o.stem == "deep", ErrorKind::config,
                 "[model.stem] must be \"plain\" or \"deep\". Got \"{}\".", o.stem);
    stride_level("model.output_stride", o.output_stride);
    const int64_t width = scaled_width(64, o.width_multiplier);
    int64_t in = width;
    if (o.stem == "deep") {
      deep_ = register_module<DeepStem>("layer0", o.in_channels, width, o.norm);
      in = 2 * width;
    } else {
      plain_ = conv_norm(
          "conv1", "bn1",
          {.in = o.in_channels, .out = width, .kernel = 7, .stride = 2, .pad = 3, .init = init}, o.norm);
    }
    channels_ = {o.in_channels, in};
    const std::array<StagePlan, 4> plan = plan_stages(o, form);
    for (size_t s = 0; s < 4; ++s) {
      const BlockArgs first{.in = in,
                            .width = width << s,
                            .stride = plan[s].strided ? 2 : 1,
                            .dilation = 1,
                            .bottleneck = form.bottleneck,
                            .norm = o.norm};
      stages_[s] = register_module<Stage>(fmt::format("layer{}", s + 1), first, plan[s].rates);
      channels_.push_back(in = first.out());
    }
  }

  std::vector<Variable> forward(const Variable& image) const override {
    const ModuleScope scope(name());
    std::vector<Variable> maps{image, deep_ ? deep_->forward(image) : plain_(image)};
    Variable x = traced_max_pool(maps[1], Pool2dOptions::square(3, 2, 1));
    for (const auto& stage : stages_) maps.push_back(x = stage->forward(x));
    return maps;
  }
  std::string kind() const override { return "ResNet"; }

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
