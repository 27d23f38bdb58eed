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
};

constexpr Family families[] = {
    {"resnet18", make_resnet},  {"resnet34", make_resnet},  {"resnet50", make_resnet},
    {"resnet101", make_resnet}, {"resnet152", make_resnet},
};

}  // namespace

std::vector<std::string> backbone_names() {
  std::vector<std::string> names;
  for (const Family& f : families) names.emplace_back(f.name);
  return names;
}

std::shared_ptr<Backbone> make_backbone(const BackboneOptions& options) {
  for (const Family& f : families) {
    if (options.name == f.name) return f.make(options);
  }
  const std::vector<std::string> names = backbone_names();
  const std::string nearest = nearest_word(options.name, names);
  fail(ErrorKind::config, "[model.backbone] must be one of {}. Got \"{}\".{}", fmt::join(names, ", "),
       options.name, nearest.empty() ? "" : fmt::format(" Did you mean \"{}\"?", nearest));
}

BackboneOptions backbone_options(const ModelOptions& model, const char* default_name,
                                 int64_t default_output_stride) {
  return {.name = model.backbone_or(default_name),
          .in_channels = model.in_channels,
          .width_multiplier = model.width_multiplier,
          .norm = model.norm_of_backbone(),
          .output_stride = model.output_stride_or(default_output_stride),
          .uniform_dilation = false,
          .multi_grid = model.multi_grid,
          .stem = model.stem.empty() ? "plain" : model.stem};
}

int64_t scaled_width(int64_t channels, double multiplier) {
  return std::max<int64_t>(1, std::llround(static_cast<double>(channels) * multiplier));
}

size_t stride_level(const std::string& where, int64_t output_stride) {
  for (size_t level = 3; level <= 5; ++level) {
    if (int64_t{1} << level == output_stride) return level;
  }
  fail(ErrorKind::config, "[{}] must be 8, 16 or 32. Got {}.", where, output_stride);
}

}  // namespace atrous::nets
