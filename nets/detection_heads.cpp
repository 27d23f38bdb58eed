#include "nets/detection_heads.h"

#include "layers/pointwise.h"

namespace atrous::nets {

using namespace layers;

RpnHead::RpnHead(int64_t channels, int64_t anchors, int64_t convs)
    : convs_(register_module<ModuleList<ConvNormRelu>>("conv")) {
  const auto args = [&](int64_t out, int64_t kernel) {
    return Conv2dArgs{
        .in = channels, .out = out, .kernel = kernel, .pad = kernel / 2, .init = Init::normal_hundredth};
  };
  for (int64_t i = 0; i < convs; ++i) convs_->append(args(channels, 3), NormOptions(NormKind::none));
  objectness_ = register_module<Conv2d>("cls_logits", args(anchors, 1));
  deltas_ = register_module<Conv2d>("bbox_pred", args(4 * anchors, 1));
}

RpnOutput RpnHead::forward(const std::vector<Variable>& maps) const {
  const ModuleScope scope(name());
  RpnOutput out;
  for (Variable x : maps) {
    {
      const ModuleScope list(convs_->name());
      for (const auto& conv : convs_->items) x = conv->forward(x);
    }
    out.objectness.push_back(objectness_->forward(x));
    out.deltas.push_back(deltas_->forward(x));
  }
  return out;
}

TwoLayerHead::TwoLayerHead(int64_t in, int64_t width, Init init, double dropout)
    : BoxHead(width),
      first_(register_module<Linear>("fc6", in, width, /*with_bias=*/true, init)),
      second_(register_module<Linear>("fc7", width, width, /*with_bias=*/true, init)),
      first_dropout_(register_module<Dropout>("drop6", dropout)),
      second_dropout_(register_module<Dropout>("drop7", dropout)) {}

Variable TwoLayerHead::forward(const Variable& regions) const {
  const ModuleScope scope(name());
  const Variable x = first_dropout_->forward(relu_(first_->forward(flatten_channels_first(regions))));
  return second_dropout_->forward(relu_(second_->forward(x)));
}

ConvHead::ConvHead(int64_t channels, int64_t size, int64_t width, const NormOptions& norm) : BoxHead(width) {
  for (int i = 0; i < 4; ++i) {
    const Conv2dArgs args{.in = channels, .out = channels, .pad = 1, .init = Init::kaiming_normal_fan_out};
    convs_.push_back(register_module<ConvNormRelu>(std::to_string(i), args, norm));
  }
  linear_ = register_module<Linear>("5", channels * size * size, width);
}

Variable ConvHead::forward(const Variable& regions) const {
  const ModuleScope scope(name());
  Variable x = regions;
  for (const auto& conv : convs_) x = conv->forward(x);
  return relu_(linear_->forward(flatten_channels_first(x)));
}

BoxPredictor::BoxPredictor(int64_t in, int64_t classes)
    : logits_(register_module<Linear>("cls_score", in, classes)),
      deltas_(register_module<Linear>("bbox_pred", in, 4 * classes)) {}

BoxPrediction BoxPredictor::forward(const Variable& features) const {
  const ModuleScope scope(name());
  return {logits_->forward(features), deltas_->forward(features)};
}

MaskHead::MaskHead(int64_t in, int64_t width, const NormOptions& norm) {
  for (int i = 0; i < 4; ++i) {
    append(
        Conv2dArgs{.in = i == 0 ? in : width, .out = width, .pad = 1, .init = Init::kaiming_normal_fan_out},
        norm);
  }
}

Variable MaskHead::forward(Variable x) const {
  const ModuleScope scope(name());
  for (const auto& conv : items) x = conv->forward(x);
  return x;
}

MaskPredictor::MaskPredictor(int64_t in, int64_t classes)
    : up_(register_module<ConvTranspose2d>("conv5_mask", in, in, 2, 2, /*with_bias=*/true,
                                           Init::kaiming_normal_fan_out)),
      logits_(register_module<Conv2d>(
          "mask_fcn_logits",
          Conv2dArgs{.in = in, .out = classes, .kernel = 1, .init = Init::kaiming_normal_fan_out})) {}

Variable MaskPredictor::forward(const Variable& x) const {
  const ModuleScope scope(name());
  return logits_->forward(relu_(up_->forward(x)));
}

}  // namespace atrous::nets
