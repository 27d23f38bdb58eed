#include "nets/vgg.h"

#include <algorithm>

namespace atrous::nets {

using namespace layers;

namespace {

// Convolutions of each stage.
struct Form {
  int64_t layers;
  std::array<int64_t, 5> convs;
};
constexpr Form forms[] = {
    {11, {1, 1, 2, 2, 2}}, {13, {2, 2, 2, 2, 2}}, {16, {2, 2, 3, 3, 3}}, {19, {2, 2, 4, 4, 4}}};
constexpr std::array<int64_t, 5> widths{64, 128, 256, 512, 512};

const Form& form_of(int64_t layers) {
  const auto* form =
      std::find_if(std::begin(forms), std::end(forms), [&](const Form& f) { return f.layers == layers; });
  ATROUS_ASSERT(form != std::end(forms));
  return *form;
}

}  // namespace

VggFeatures::VggFeatures(const VggOptions& o) : ceil_pools_(o.ceil_pools), large_pools_(o.large_pools) {
  const Form& form = form_of(o.layers);
  const size_t last_level = stride_level("model.output_stride", o.output_stride);
  // ReLUs, norms and pools are separate children in torchvision's sequence and count in the names.
  const int children = o.norm == NormKind::none ? 2 : 3;
  int index = 0;
  int64_t in = o.in_channels, dilation = 1;
  for (size_t s = 0; s < 5; ++s) {
    Stage& stage = stages_[s];
    const int64_t out = scaled_width(widths[s], o.width_multiplier);
    for (int64_t i = 0; i < form.convs[s]; ++i, index += children) {
      const Conv2dArgs args{.in = in,
                            .out = out,
                            .pad = index == 0 ? o.first_pad : dilation,
                            .dilation = dilation,
                            .init = Init::kaiming_normal_fan_out};
      ConvNorm conv{register_module<Conv2d>(std::to_string(index), args),
                    make_norm(NormOptions(o.norm, o.norm_eps), out)};
      if (conv.norm) add_child(std::to_string(index + 1), conv.norm);
      stage.convs.push_back(conv);
      in = out;
    }
    ++index;
    stage.strided = s < last_level;
    if (!stage.strided) dilation *= 2;
    channels_.push_back(out);
  }
  channels_.push_back(in);
}

Variable VggFeatures::Stage::forward(Variable x) const {
  for (const ConvNorm& conv : convs) x = conv(x);
  return x;
}

Variable VggFeatures::pool(const Stage& stage, const Variable& x) const {
  if (!stage.strided) return max_pool2d(x, Pool2dOptions::square(3, 1, 1));
  if (large_pools_) return max_pool2d(x, Pool2dOptions::square(3, 2, 1));
  if (ceil_pools_) return max_pool2d(x, Pool2dOptions::square(2, 2, 0, /*ceil_mode=*/true));
  // An extent of one cannot be halved any more and is kept, so that every image size works.
  const int64_t h = std::min<int64_t>(2, x.dim(1)), w = std::min<int64_t>(2, x.dim(2));
  return max_pool2d(x, {.kernel_h = h, .kernel_w = w, .stride_h = h, .stride_w = w});
}

std::vector<Variable> VggFeatures::maps(const Variable& image, size_t last) const {
  std::vector<Variable> maps{stages_[0].forward(image)};
  while (maps.size() <= last) {
    const Variable pooled = pool(stages_[maps.size() - 1], maps.back());
    maps.push_back(maps.size() < stages_.size() ? stages_[maps.size()].forward(pooled) : pooled);
  }
  return maps;
}

std::array<Variable, 5> VggFeatures::pools(const Variable& image) const {
  const ModuleScope scope(name());
  std::array<Variable, 5> pools;
  Variable x = image;
  for (size_t s = 0; s < 5; ++s) pools[s] = x = pool(stages_[s], stages_[s].forward(x));
  return pools;
}

std::shared_ptr<Backbone> make_vgg(const BackboneOptions& o) {
  const bool with_norm = o.name.ends_with("_bn");
  ATROUS_CHECK(!with_norm || o.norm != NormKind::none, ErrorKind::config,
               "[model.norm] {} has a norm. Got \"none\". Use \"batch\", \"frozen\" or \"group\", or the "
               "backbone \"{}\".",
               o.name, o.name.substr(0, 5));
  return std::make_shared<VggFeatures>(VggOptions{.layers = std::stoi(o.name.substr(3)),
                                                  .in_channels = o.in_channels,
                                                  .width_multiplier = o.width_multiplier,
                                                  .norm = with_norm ? o.norm : NormKind::none,
                                                  .norm_eps = o.norm_eps.value_or(1e-5),
                                                  .output_stride = o.output_stride});
}

}  // namespace atrous::nets
