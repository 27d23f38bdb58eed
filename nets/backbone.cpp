#include "nets/backbone.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/names.h"
#include "core/text.h"

namespace atrous::nets {
namespace {

// A backbone and those of the options below that it takes, separated by blanks.
struct Family {
  const char* name;
  std::shared_ptr<Backbone> (*make)(const BackboneOptions&);
  std::string_view options;
};

constexpr std::string_view resnet_options = "multi_grid stem norm_eps";
constexpr std::string_view efficientnet_options = "norm_eps conv_padding drop_path";

constexpr Family families[] = {
    {"resnet18", make_resnet, resnet_options},
    {"resnet34", make_resnet, resnet_options},
    {"resnet50", make_resnet, resnet_options},
    {"resnet101", make_resnet, resnet_options},
    {"resnet152", make_resnet, resnet_options},
    {"resnext50_32x4d", make_resnet, resnet_options},
    {"resnext101_32x8d", make_resnet, resnet_options},
    {"vgg16", make_vgg, ""},
    {"vgg16_bn", make_vgg, "norm_eps"},
    {"vgg19", make_vgg, ""},
    {"vgg19_bn", make_vgg, "norm_eps"},
    {"mobilenet_v2", make_mobilenet_v2, "norm_eps"},
    {"mobilenet_v3_large", make_mobilenet_v3, "norm_eps"},
    {"mobilenet_v3_small", make_mobilenet_v3, "norm_eps"},
    {"efficientnet_lite0", make_efficientnet, efficientnet_options},
    {"efficientnet_lite1", make_efficientnet, efficientnet_options},
    {"efficientnet_lite2", make_efficientnet, efficientnet_options},
    {"efficientnet_lite3", make_efficientnet, efficientnet_options},
    {"efficientnet_lite4", make_efficientnet, efficientnet_options},
    {"efficientnet_b0", make_efficientnet, efficientnet_options},
    {"efficientnet_b1", make_efficientnet, efficientnet_options},
    {"efficientnet_b2", make_efficientnet, efficientnet_options},
    {"efficientnet_b3", make_efficientnet, efficientnet_options},
    {"efficientnet_b4", make_efficientnet, efficientnet_options},
    {"efficientnet_b5", make_efficientnet, efficientnet_options},
    {"efficientnet_b6", make_efficientnet, efficientnet_options},
    {"efficientnet_b7", make_efficientnet, efficientnet_options},
    {"xception65", make_xception, "multi_grid norm_eps"},
};

// What not every backbone takes: its value if one is given, and what the others have instead.
struct FamilyOption {
  std::string_view key;
  std::optional<std::string> (*given)(const BackboneOptions&);
  const char* otherwise;
};
template <class T>
std::optional<std::string> text_if(bool given, const T& value) {
  return given ? std::optional(fmt::format("{}", value)) : std::nullopt;
}
constexpr FamilyOption family_options[] = {
    {"multi_grid",
     [](const BackboneOptions& o) {
       return text_if(!o.multi_grid.empty(), fmt::format("{} factors", o.multi_grid.size()));
     },
     "no last stage of a few blocks"},
    {"stem",
     [](const BackboneOptions& o) {
       return text_if(o.stem != StemKind::plain, fmt::format("\"{}\"", o.stem));
     },
     "no other stem"},
    {"norm_eps",
     [](const BackboneOptions& o) { return text_if(o.norm_eps.has_value(), o.norm_eps.value_or(0)); },
     "no norm"},
    {"conv_padding",
     [](const BackboneOptions& o) {
       return text_if(o.conv_padding.has_value(),
                      fmt::format("\"{}\"", o.conv_padding.value_or(ConvPadding::tensorflow)));
     },
     "only one form of padding"},
    {"drop_path", [](const BackboneOptions& o) { return text_if(o.drop_path != 0, o.drop_path); },
     "no stochastic depth"},
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
    for (const FamilyOption& option : family_options) {
      const std::optional<std::string> given = option.given(options);
      ATROUS_CHECK(!given || contains_word(f.options, option.key), ErrorKind::config,
                   "[model.{}] {} has {}. Got {}. Leave it out.", option.key, f.name, option.otherwise,
                   *given);
    }
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
          .last_conv = true,
          .norm_eps = model.norm_eps > 0 ? std::optional(model.norm_eps) : std::nullopt,
          .conv_padding = model.conv_padding,
          .drop_path = model.drop_path};
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
