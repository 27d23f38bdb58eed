#include "nets/deeplab.h"

namespace atrous::nets {

BackboneOptions deeplab_backbone(const ModelOptions& o, int64_t default_output_stride) {
  BackboneOptions b = backbone_options(o, "resnet50", default_output_stride);
  b.uniform_dilation = true;
  b.last_conv = is_smp_form(o);
  return b;
}

AsppOptions deeplab_aspp(const ModelOptions& o, int64_t in_channels, int64_t output_stride) {
  const bool smp = is_smp_form(o);
  AsppOptions aspp{.in = in_channels,
                   .channels = scaled_width(256, o.width_multiplier),
                   .rates = o.rates,
                   .norm = o.norm,
                   .dropout = o.dropout_or(smp ? 0.5 : 0.1),
                   .separable = false,
                   .norm_between = !smp,
                   .mean_first = !smp};
  if (aspp.rates.empty()) {
    for (const int64_t rate : {6, 12, 18}) aspp.rates.push_back(smp ? 2 * rate : rate * 16 / output_stride);
  }
  return aspp;
}

DeepLab::DeepLab(const ModelOptions& o, const BackboneOptions& b)
    : smp_(is_smp_form(o)),
      align_corners_(o.align_corners.value_or(true)),
      classes_(o.num_classes),
      backbone_(make_backbone(b)),
      in_channels_(o.in_channels),
      output_stride_(b.output_stride) {
  add_child(smp_ ? smp_encoder_name(b.name) : "backbone", backbone_);
}

std::shared_ptr<ScoreHead> DeepLab::make_classifier(int64_t in) {
  return register_module<ScoreHead>(smp_ ? "segmentation_head" : "classifier", in, classes_);
}

}  // namespace atrous::nets
