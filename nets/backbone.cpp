#include "nets/backbone.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/text.h"

namespace atrous::nets {
namespace {

struct Family {
  const char* name;
  std::shared_ptr<Backbone> (*make)(const BackboneOptions&);
  bool takes_multi_grid = false, takes_deep_stem = false;
};

constexpr Family families[] = {
    {"resnet18", make_resnet, true, true},
    {"resnet34", make_resnet, true, true},
    {"resnet50", make_resnet, true, true},
    {"resnet101", make_resnet, true, true},
    {"resnet152", make_resnet, true, true},
    {"resnext50_32x4d", make_resnet, true, true},
    {"resnext101_32x8d", make_resnet, true, true},
    {"vgg16", make_vgg},
    {"vgg16_bn", make_vgg},
    {"vgg19", make_vgg},
    {"vgg19_bn", make_vgg},
    {"mobilenet_v2", make_mobilenet_v2},
    {"mobilenet_v3_large", make_mobilenet_v3_large},
    {"xception65", make_xception, true},
};

}  // namespace

std::vector<std::string> backbone_names() {
  std::vector<std::string> names;
  for (const Family& f : families) names.emplace_back(f.name);
  return names;
}

void check_backbone_name(const std::string& name) {
  const std::vector<std::string> names = backbone_names();
  if (std::find(names.begin(), names.end(), name) != names.end()) return;
  const std::string nearest = nearest_word(name, names);
  fail(ErrorKind::config, "[model.backbone] must be one of {}. Got \"{}\".{}", fmt::join(names, ", "), name,
       nearest.empty() ? "" : fmt::format(" Did you mean \"{}\"?", nearest));
}

std::shared_ptr<Backbone> make_backbone(const BackboneOptions& options) {
  check_backbone_name(options.name);
  for (const Family& f : families) {
    if (options.name != f.name) continue;
    ATROUS_CHECK(f.takes_multi_grid || options.multi_grid.empty(), ErrorKind::config,
                 "[model.multi_grid] {} has no last stage of a few blocks. Got {} factors. Leave it out.",
                 f.name, options.multi_grid.size());
    ATROUS_CHECK(f.takes_deep_stem || options.stem == StemKind::plain, ErrorKind::config,
                 "[model.stem] {} has no other stem. Got \"{}\". Leave it out.", f.name, options.stem);
    return f.make(options);
  }
  fail(ErrorKind::internal, "[model.backbone] no network of the name \"{}\"", options.name);
}

BackboneOptions backbone_options(const ModelOptions& model, const char* default_name,
                                 int64_t default_output_stride) {
  const std::string name = model.backbone_or(default_name);
  const bool plain = name == "vgg16" || name == "vgg19";
  ATROUS_CHECK(!plain || !model.backbone_norm, ErrorKind::config,
               "[model.backbone_norm] {0} has no norm. Got \"{1}\". Leave it out, or take {0}_bn.", name,
               model.norm_of_backbone());
  return {.name = name,
          .in_channels = model.in_channels,
          .width_multiplier = model.width_multiplier,
          .norm = plain ? layers::NormKind::none : model.norm_of_backbone(),
          .output_stride = model.output_stride_or(default_output_stride),
          .uniform_dilation = false,
          .multi_grid = model.multi_grid,
          .stem = model.stem.value_or(StemKind::plain),
          .last_conv = true};
}

void refuse_norms(const ModelOptions& model, const std::string& what) {
  ATROUS_CHECK(!model.backbone_norm, ErrorKind::config,
               "[model.backbone_norm] {} has no norm. Got \"{}\". Leave it out.", what,
               model.norm_of_backbone());
  ATROUS_CHECK(model.norm == ModelOptions().norm || model.norm == layers::NormKind::none, ErrorKind::config,
               "[model.norm] {} has no norm. Got \"{}\". Leave it out.", what, model.norm);
}

DilationPlan::DilationPlan(const BackboneOptions& o, int64_t stride)
    : output_stride_(o.output_stride), uniform_(o.uniform_dilation), stride_(stride) {
  stride_level("model.output_stride", o.output_stride);
}

DilationPlan::Step DilationPlan::next(int64_t stride) {
  if (stride == 1) return {1, rate_};
  if (stride_ < output_stride_) {
    stride_ *= stride;
    return {stride, rate_};
  }
  const int64_t before = rate_;
  rate_ *= stride;
  return {1, uniform_ ? rate_ : before};
}

int64_t scaled_width(int64_t channels, double multiplier) {
  return std::max<int64_t>(1, std::llround(static_cast<double>(channels) * multiplier));
}

int64_t divisible_width(int64_t channels, double multiplier) {
  const double wanted = static_cast<double>(channels) * multiplier;
  const int64_t width = std::max<int64_t>(8, static_cast<int64_t>(wanted + 4) / 8 * 8);
  return static_cast<double>(width) < 0.9 * wanted ? width + 8 : width;
}

size_t stride_level(const std::string& where, int64_t output_stride) {
  for (size_t level = 3; level <= 5; ++level) {
    if (int64_t{1} << level == output_stride) return level;
  }
  fail(ErrorKind::config, "[{}] must be 8, 16 or 32. Got {}.", where, output_stride);
}

}  // namespace atrous::nets
