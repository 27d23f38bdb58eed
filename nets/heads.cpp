#include "nets/heads.h"

#include <algorithm>
#include <optional>

#include "layers/adaptive_avg_pool2d.h"
#include "layers/concat.h"
#include "layers/reshape.h"
#include "layers/resize.h"
#include "layers/transpose.h"

namespace atrous::nets {

using namespace layers;

FcnHead::FcnHead(const FcnHeadOptions& o) {
  const int64_t inner = o.inner ? o.inner : std::max<int64_t>(1, o.in / 4);
  conv_ = conv_norm("0", "1", {.in = o.in, .out = inner, .kernel = 3, .pad = 1}, o.norm);
  dropout_ = register_module<Dropout>("3", o.dropout, o.drop_channels);
  score_ = register_module<Conv2d>("4", Conv2dArgs{.in = inner, .out = o.classes, .kernel = 1});
}

Variable FcnHead::forward(const Variable& x) const {
  const ModuleScope scope(name());
  return score_->forward(dropout_->forward(conv_(x)));
}

SeparableConv::SeparableConv(const SeparableArgs& a) {
  const Conv2dArgs depthwise{
      .in = a.in, .out = a.in, .pad = a.dilation, .dilation = a.dilation, .groups = a.in, .bias = false};
  const Conv2dArgs pointwise{.in = a.in, .out = a.out, .kernel = 1, .bias = false};
  const auto child = [&](int number) { return std::to_string(a.first + number); };
  if (a.norm_between) {
    depthwise_ = conv_norm(child(0), child(1), depthwise, a.norm);
    pointwise_ = conv_norm(child(3), child(4), pointwise, a.norm);
    return;
  }
  struct Both : Block {
    Both(const Conv2dArgs& first, const Conv2dArgs& second)
        : depthwise(register_module<Conv2d>("0", first)), pointwise(register_module<Conv2d>("1", second)) {}
    std::string kind() const override { return "Sequential"; }
    std::shared_ptr<Conv2d> depthwise, pointwise;
  };
  const auto both = register_module<Both>(child(0), depthwise, pointwise);
  depthwise_.conv = both->depthwise;
  pointwise_ = {both->pointwise, make_norm(a.norm, a.out)};
  if (pointwise_.norm) add_child(child(1), pointwise_.norm);
}

Variable SeparableConv::forward(const Variable& x, const Tensor& out) const {
  const ModuleScope scope(name());
  const Activation between = depthwise_.norm ? Activation::relu : Activation::none;
  const Variable y = depthwise_(x, {.activation = between, .residual = {}, .out = {}});
  return pointwise_(y, {.activation = Activation::relu, .residual = {}, .out = out});
}

class Aspp::Branches : public Block {
 public:
  explicit Branches(const AsppOptions& o) : channels_(o.channels), mean_first_(o.mean_first) {
    auto next = [name = 0]() mutable { return std::to_string(name++); };
    const Conv2dArgs square{.in = o.in, .out = o.channels, .kernel = 1};
    one_ = register_module<ConvNormRelu>(next(), square, o.norm);
    for (const int64_t rate : o.rates) {
      ATROUS_CHECK(rate >= 1, ErrorKind::config, "[model.rates] must be at least 1. Got {}.", rate);
      if (o.separable) {
        separable_.push_back(register_module<SeparableConv>(
            next(), SeparableArgs{o.in, o.channels, rate, o.norm, o.norm_between}));
      } else {
        const Conv2dArgs args{.in = o.in, .out = o.channels, .pad = rate, .dilation = rate};
        full_.push_back(register_module<ConvNormRelu>(next(), args, o.norm));
      }
    }
    mean_ = register_module<ConvNormRelu>(next(), square, o.norm, /*first=*/1);
  }

  // All branches write into one buffer.
  Variable forward(const Variable& x) const {
    const ModuleScope scope(name());
    const size_t rates = full_.size() + separable_.size();
    const std::vector<int64_t> channels(rates + 2, channels_);
    const ConcatBuffer buffer({x.dim(0), x.dim(1), x.dim(2)}, channels, x.dtype(), x.value().device());
    std::vector<Variable> parts(channels.size());
    const size_t one = mean_first_ ? 1 : 0, mean = mean_first_ ? 0 : rates + 1;
    const auto slice = [&](size_t i) { return buffer.slice(static_cast<int>(i)); };
    {
      parts[one] = one_->forward(x, slice(one));
      parts[mean] =
          resize(mean_->forward(global_avg_pool2d(x)),
                 {.height = x.dim(1), .width = x.dim(2), .mode = ResizeMode::bilinear}, slice(mean));
    }
    for (size_t i = 0; i < rates; ++i) {
      const size_t at = one + 1 + i;
      parts[at] = separable_.empty() ? full_[i]->forward(x, slice(at)) : separable_[i]->forward(x, slice(at));
    }
    return concat_in_place(buffer, parts);
  }
  std::string kind() const override { return "ModuleList"; }

 private:
  const int64_t channels_;
  const bool mean_first_;
  std::shared_ptr<ConvNormRelu> one_, mean_;
  std::vector<std::shared_ptr<ConvNormRelu>> full_;
  std::vector<std::shared_ptr<SeparableConv>> separable_;
};

class Aspp::Projection : public Block {
 public:
  explicit Projection(const AsppOptions& o) {
    const auto parts = static_cast<int64_t>(o.rates.size()) + 2;
    conv_ = conv_norm("0", "1", {.in = parts * o.channels, .out = o.channels, .kernel = 1}, o.norm);
    dropout_ = register_module<Dropout>("3", o.dropout);
  }
  Variable forward(const Variable& x) const {
    const ModuleScope scope(name());
    return dropout_->forward(conv_(x));
  }
  std::string kind() const override { return "Sequential"; }

 private:
  ConvNorm conv_;
  std::shared_ptr<Dropout> dropout_;
};

Aspp::Aspp(const AsppOptions& o)
    : branches_(register_module<Branches>("convs", o)),
      projection_(register_module<Projection>("project", o)) {}

Variable Aspp::forward(const Variable& x) const {
  const ModuleScope scope(name());
  return projection_->forward(branches_->forward(x));
}

Variable flatten_channels_first(const Variable& x) {
  const Shape s = x.shape();
  const int64_t pixels = s[1] * s[2];
  return reshape(transpose(reshape(x, {s[0], pixels, s[3]})), {s[0], 1, 1, s[3] * pixels});
}

}  // namespace atrous::nets
