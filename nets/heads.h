// Heads and other modules that several networks put on a backbone.
#pragma once

#include <vector>

#include "layers/modules.h"

namespace atrous::nets {

// From a feature map to scores or to other features, at the resolution of the map.
class Head : public layers::Block {
 public:
  virtual Variable forward(const Variable& x) const = 0;
};

// A convolution with norm and ReLU as a separate module: children "0" and "1", or `first` and the next.
class ConvNormRelu : public Head {
 public:
  ConvNormRelu(const layers::Conv2dArgs& args, const layers::NormOptions& norm, int first = 0)
      : conv_(conv_norm(std::to_string(first), std::to_string(first + 1), args, norm)) {}
  Variable forward(const Variable& x) const override { return forward(x, {}); }
  // `out`, if given, receives the result (a slice of a ConcatBuffer).
  Variable forward(const Variable& x, const Tensor& out) const {
    const ModuleScope scope(name());
    return conv_(x, {.activation = layers::Activation::relu, .residual = {}, .out = out});
  }
  int64_t channels() const { return conv_.conv->args.out; }
  std::string kind() const override { return "Sequential"; }

 private:
  layers::ConvNorm conv_;
};

// [N, H, W, C] as [N, 1, 1, C*H*W], in the order in which PyTorch flattens: channel by channel.
Variable flatten_channels_first(const Variable& x);

// torchvision's FCNHead: 3x3 to a quarter of the channels with norm and ReLU (0, 1, 2), dropout (3), 1x1
// scores (4). Also the auxiliary head of the networks that have one.
struct FcnHeadOptions {
  int64_t in = 0, classes = 0;
  int64_t inner = 0;  // 0: a quarter of `in`
  layers::NormOptions norm{layers::NormKind::batch};
  double dropout = 0.1;
  bool drop_channels = false;  // whole channels of an image
};
class FcnHead : public Head {
 public:
  explicit FcnHead(const FcnHeadOptions& options);
  FcnHead(int64_t in, int64_t classes, layers::NormKind norm, double dropout = 0.1)
      : FcnHead(FcnHeadOptions{.in = in, .classes = classes, .inner = 0, .norm = norm, .dropout = dropout}) {}
  Variable forward(const Variable& x) const override;
  std::string kind() const override { return "FCNHead"; }

 private:
  layers::ConvNorm conv_;
  std::shared_ptr<layers::Dropout> dropout_;
  std::shared_ptr<layers::Conv2d> score_;
};

// Scores alone, as child 0: a convolution that keeps the resolution.
class ScoreHead : public Head {
 public:
  ScoreHead(int64_t in, int64_t classes, int64_t kernel = 1, layers::Init init = layers::Init::uniform_fan_in)
      : score_(register_module<layers::Conv2d>(
            "0", layers::Conv2dArgs{
                     .in = in, .out = classes, .kernel = kernel, .pad = kernel / 2, .init = init})) {}
  Variable forward(const Variable& x) const override {
    const ModuleScope scope(name());
    return score_->forward(x);
  }
  std::string kind() const override { return "Sequential"; }

 private:
  std::shared_ptr<layers::Conv2d> score_;
};

// Depthwise 3x3, then 1x1, with norm and ReLU behind the second, and optionally behind the first.
struct SeparableArgs {
  int64_t in = 0, out = 0, dilation = 1;
  layers::NormOptions norm = layers::NormKind::batch;
  bool norm_between = true;  // names 0, 1, 3, 4 with (DeepLab v3+), else 0.0, 0.1, 1
  int first = 0;             // that much is added to those numbers
};
class SeparableConv : public Head {
 public:
  explicit SeparableConv(const SeparableArgs& args);
  Variable forward(const Variable& x) const override { return forward(x, {}); }
  // `out`, if given, receives the result (a slice of a ConcatBuffer).
  Variable forward(const Variable& x, const Tensor& out) const;
  std::string kind() const override { return "SeparableConv"; }

 private:
  layers::ConvNorm depthwise_, pointwise_;
};

// Atrous spatial pyramid pooling (Chen et al., arXiv:1706.05587, section 3.3): on the same map a 1x1
// convolution, a 3x3 for each rate, and the mean over the image, each with norm and ReLU; concatenated, 1x1
// convolution, norm, ReLU, dropout. Names as in torchvision: convs.0.{0,1} (1x1), convs.i.{0,1} (rates),
// convs.n.{1,2} (mean), project.{0,1,3}. The mean is one pixel: how it is resized to the map does not matter.
struct AsppOptions {
  int64_t in = 0, channels = 256;
  std::vector<int64_t> rates = {12, 24, 36};
  layers::NormOptions norm = layers::NormKind::batch;
  double dropout = 0.5;
  bool separable = false;    // the branches with rates are SeparableConvs (v3+)
  bool norm_between = true;  // of those
  bool mean_first = false;   // in the concatenation; the names stay
};
class Aspp : public Head {
 public:
  explicit Aspp(const AsppOptions& options);
  Variable forward(const Variable& x) const override;
  std::string kind() const override { return "ASPP"; }

 private:
  class Branches;
  class Projection;
  std::shared_ptr<Branches> branches_;
  std::shared_ptr<Projection> projection_;
};

}  // namespace atrous::nets
