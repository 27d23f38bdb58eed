// FC-DenseNet, "the one hundred layers tiramisu" (Jegou, Drozdzal, Vazquez, Romero, Bengio,
// arXiv:1611.09326).
//
// A layer of a dense block is norm, ReLU, 3x3 convolution to `growth` channels, dropout; it reads the block's
// input and all layers before it. Down: five dense blocks, each followed by norm, ReLU, 1x1 convolution,
// dropout and max pooling. Up: only the channels added by the block below are doubled, by a 3x3 transposed
// convolution of stride 2, and concatenated before the skip; then a dense block again. 1x1 scores.
//
// Any image size: pooling drops odd last rows and columns, and the transposed convolution, which makes 2h + 1
// rows of h, is cropped to the skip's size around the centre (for 2h rows: the last one goes). An extent of
// one is not pooled.
//
// The features of a level lie in one buffer, allocated at the start: [doubled | block's input | layers
// down | layers up]. Every convolution writes into its slice, and a layer's input is what has been written so
// far; a concatenation costs nothing but the sum of gradients in the backward pass.
//
// layers: 56 (growth 12, four layers per block), 67 (16, five) or 103 (16, and 4, 5, 7, 10, 12, 15 and back);
// 48 channels before the first block. Names, those of the widespread PyTorch form: firstconv,
// denseBlocksDown.i.layers.j.{norm,conv}, transDownBlocks.i.{norm,conv},
// bottleneck.bottleneck.layers.j.{norm,conv}, transUpBlocks.i.convTrans,
// denseBlocksUp.i.layers.j.{norm,conv}, finalConv.
#include <array>

#include "layers/concat.h"
#include "layers/pad.h"
#include "layers/pointwise.h"
#include "nets/backbone.h"
#include "nets/module_list.h"
#include "nets/networks.h"

namespace atrous::nets {
namespace {

using namespace layers;

constexpr Init init = Init::kaiming_uniform_fan_in;
constexpr size_t pools = 5;

struct Form {
  int64_t layers, growth;
  std::array<int64_t, 2 * pools + 1> blocks;  // layers of each: down, bottleneck, up
};
constexpr Form forms[] = {{56, 12, {4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4}},
                          {67, 16, {5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5}},
                          {103, 16, {4, 5, 7, 10, 12, 15, 12, 10, 7, 5, 4}}};

const Form& form_of(int64_t layers) {
  for (const Form& f : forms) {
    if (f.layers == (layers ? layers : 103)) return f;
  }
  fail(ErrorKind::config, "[model.layers] of fc_densenet must be 56, 67 or 103. Got {}.", layers);
}

// Norm, ReLU, convolution, dropout.
class PreactivatedConv : public Block {
 public:
  PreactivatedConv(int64_t in, int64_t out, int64_t kernel, NormKind norm, double dropout)
      : norm_(make_norm(norm, in)) {
    if (norm_) add_child("norm", norm_);
    conv_ = register_module<Conv2d>(
        "conv", Conv2dArgs{.in = in, .out = out, .kernel = kernel, .pad = kernel / 2, .init = init});
    drop_ = register_module<Dropout>("drop", dropout);
  }
  // `result`, if given, receives the output.
  Variable forward(const Variable& x, const Tensor& result = {}) const {
    const ModuleScope scope(name());
    const Variable active = norm_ ? norm_act(*norm_, x) : relu(x);
    if (drop_->p == 0 || !training()) return conv_->forward(active, Activation::none, result);
    const Variable y = drop_->forward(conv_->forward(active));
    return result.defined() ? crop(y, 0, 0, y.dim(1), y.dim(2), result) : y;
  }
  std::string kind() const override { return "Sequential"; }

 private:
  std::shared_ptr<Norm> norm_;  // may be null
  std::shared_ptr<Conv2d> conv_;
  std::shared_ptr<Dropout> drop_;
};

class DenseBlock : public Block {
 public:
  DenseBlock(int64_t in, int64_t layers, int64_t growth, NormKind norm, double dropout)
      : growth_(growth), layers_(register_module<ModuleList<PreactivatedConv>>("layers")) {
    for (int64_t i = 0; i < layers; ++i) layers_->append(in + i * growth, growth, 3, norm, dropout);
  }
  int64_t added() const { return growth_ * static_cast<int64_t>(layers_->items.size()); }
  // Appends the layers to `stack`, whose memory has room for them; returns them alone.
  Variable forward(GrowingConcat& stack) const {
    const ModuleScope scope(name());
    const ModuleScope inner(layers_->name());
    GrowingConcat fresh(stack.room(added()));
    for (const auto& layer : layers_->items) {
      const Variable y = layer->forward(stack.value(), stack.room(growth_));
      stack.append(y);
      fresh.append(y);
    }
    return fresh.value();
  }
  std::string kind() const override { return "DenseBlock"; }

 private:
  const int64_t growth_;
  std::shared_ptr<ModuleList<PreactivatedConv>> layers_;
};

// Its only child is "bottleneck".
class Bottleneck : public Block {
 public:
  Bottleneck(int64_t in, int64_t layers, int64_t growth, NormKind norm, double dropout)
      : block(register_module<DenseBlock>("bottleneck", in, layers, growth, norm, dropout)) {}
  std::string kind() const override { return "Sequential"; }
  const std::shared_ptr<DenseBlock> block;
};

class TransitionUp : public Block {
 public:
  TransitionUp(int64_t in, int64_t out)
      : up_(register_module<ConvTranspose2d>("convTrans", in, out, 3, 2, true, init)) {}
  // Fills `result`, of at most 2h + 1 rows and 2w + 1 columns.
  Variable forward(const Variable& x, const Tensor& result) const {
    const ModuleScope scope(name());
    const bool fits = result.dim(1) == 2 * x.dim(1) + 1 && result.dim(2) == 2 * x.dim(2) + 1;
    if (fits) return up_->forward(x, result);
    return center_crop(up_->forward(x), result.dim(1), result.dim(2), result);
  }
  std::string kind() const override { return "TransitionUp"; }

 private:
  std::shared_ptr<ConvTranspose2d> up_;
};

Variable halved(const Variable& x) {
  const int64_t h = std::min<int64_t>(2, x.dim(1)), w = std::min<int64_t>(2, x.dim(2));
  return max_pool2d(x, {.kernel_h = h, .kernel_w = w, .stride_h = h, .stride_w = w});
}

// A stack that begins with x, and room for `more` channels.
GrowingConcat begin_stack(const Tensor& memory, const Variable& x) {
  GrowingConcat stack(memory);
  stack.append(crop(x, 0, 0, x.dim(1), x.dim(2), stack.room(x.dim(3))));
  return stack;
}

class FcDenseNet : public SegmentationModel {
 public:
  explicit FcDenseNet(const ModelOptions& o)
      : classes_(o.num_classes),
        in_channels_(o.in_channels),
        layers_(form_of(o.layers).layers),
        first_channels_(scaled_width(48, o.width_multiplier)) {
    const Form& form = form_of(o.layers);
    const int64_t growth = scaled_width(form.growth, o.width_multiplier);
    const double dropout = o.dropout_or(0.2);
    first_ = register_module<Conv2d>(
        "firstconv", Conv2dArgs{.in = in_channels_, .out = first_channels_, .pad = 1, .init = init});
    down_ = register_module<ModuleList<DenseBlock>>("denseBlocksDown");
    pool_ = register_module<ModuleList<PreactivatedConv>>("transDownBlocks");
    std::array<int64_t, pools> skips{};
    int64_t channels = first_channels_;
    for (size_t i = 0; i < pools; ++i) {
      down_->append(channels, form.blocks[i], growth, o.norm, dropout);
      skips[i] = channels += down_->items[i]->added();
      pool_->append(channels, channels, 1, o.norm, dropout);
    }
    bottleneck_ =
        register_module<Bottleneck>("bottleneck", channels, form.blocks[pools], growth, o.norm, dropout);
    up_ = register_module<ModuleList<TransitionUp>>("transUpBlocks");
    dense_up_ = register_module<ModuleList<DenseBlock>>("denseBlocksUp");
    int64_t added = bottleneck_->block->added();
    for (size_t i = 0; i < pools; ++i) {
      up_->append(added, added);
      channels = added + skips[pools - 1 - i];
      dense_up_->append(channels, form.blocks[pools + 1 + i], growth, o.norm, dropout);
      added = dense_up_->items[i]->added();
    }
    final_ = register_module<Conv2d>(
        "finalConv", Conv2dArgs{.in = channels + added, .out = classes_, .kernel = 1, .init = init});
  }

  SegmentationOutput forward(const Variable& image) override {
    std::array<Level, pools> levels;
    Variable x;
    for (size_t i = 0; i < pools; ++i) {
      x = run_down(i, i == 0 ? image : x, levels[i]);
    }
    const DenseBlock& block = *bottleneck_->block;
    GrowingConcat bottom = begin_stack(memory_like(x, x.dim(3) + block.added()), x);
    {
      const ModuleScope scope(bottleneck_->name());
      x = block.forward(bottom);
    }
    Variable all;
    for (size_t i = 0; i < pools; ++i) {
      const Level& level = levels[pools - 1 - i];
      GrowingConcat stack(level.memory);
      {
        const ModuleScope scope(up_->name());
        stack.append(up_->items[i]->forward(x, stack.room(x.dim(3))));
      }
      stack.append(level.skip);
      const ModuleScope scope(dense_up_->name());
      x = dense_up_->items[i]->forward(stack);
      all = stack.value();
    }
    return whole_image(image, final_->forward(all));
  }

  int64_t num_classes() const override { return classes_; }
  int64_t in_channels() const override { return in_channels_; }
  int64_t output_stride() const override { return int64_t{1} << pools; }
  std::string kind() const override { return fmt::format("FC-DenseNet{}", layers_); }

 private:
  struct Level {
    Tensor memory;  // of all features at this resolution
    Variable skip;  // block's input and layers on the way down
  };

  static Tensor memory_like(const Variable& x, int64_t channels) {
    return Tensor::empty({x.dim(0), x.dim(1), x.dim(2), channels}, x.dtype(), x.value().device());
  }

  // Level i down: fills `level`, returns the input of the next one. The first takes the image.
  Variable run_down(size_t i, const Variable& x, Level& level) const {
    const size_t u = pools - 1 - i;
    const DenseBlock& block = *down_->items[i];
    const int64_t doubled = u == 0 ? bottleneck_->block->added() : dense_up_->items[u - 1]->added();
    const int64_t skip = (i == 0 ? first_channels_ : x.dim(3)) + block.added();
    level.memory = memory_like(x, doubled + skip + dense_up_->items[u]->added());
    GrowingConcat stack(level.memory.narrow_channels(doubled, skip));
    if (i == 0) {
      stack.append(first_->forward(x, Activation::none, stack.room(first_channels_)));
    } else {
      stack = begin_stack(level.memory.narrow_channels(doubled, skip), x);
    }
    {
      const ModuleScope scope(down_->name());
      block.forward(stack);
    }
    level.skip = stack.value();
    const ModuleScope scope(pool_->name());
    return halved(pool_->items[i]->forward(level.skip));
  }

  const int64_t classes_, in_channels_, layers_, first_channels_;
  std::shared_ptr<Conv2d> first_, final_;
  std::shared_ptr<ModuleList<DenseBlock>> down_, dense_up_;
  std::shared_ptr<ModuleList<PreactivatedConv>> pool_;
  std::shared_ptr<Bottleneck> bottleneck_;
  std::shared_ptr<ModuleList<TransitionUp>> up_;
};

}  // namespace

ModelPtr build_fc_densenet(const ModelOptions& o) {
  return std::make_shared<FcDenseNet>(o);
}

}  // namespace atrous::nets
