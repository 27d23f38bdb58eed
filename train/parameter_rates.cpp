#include "train/parameter_rates.h"

#include <algorithm>
#include <cctype>
#include <cmath>

namespace atrous::train {
namespace {

bool is_number(std::string_view word) {
  return !word.empty() && std::ranges::all_of(word, [](unsigned char c) { return std::isdigit(c) != 0; });
}

// The part of a parameter's name that names its layer: up to the first number, and the one right behind it
// ("blocks.4.1"); without a number the module.
std::string layer_name(const std::string& parameter) {
  const size_t module_end = parameter.rfind('.');
  size_t begin = 0, numbers = 0;
  while (begin < module_end && module_end != std::string::npos) {
    const size_t end = std::min(parameter.find('.', begin), module_end);
    const bool number = is_number(std::string_view(parameter).substr(begin, end - begin));
    if (numbers > 0 && !number) return parameter.substr(0, begin - 1);
    numbers += number;
    if (numbers == 2) return parameter.substr(0, end);
    begin = end + 1;
  }
  return parameter.substr(0, module_end);
}

void check_backbone(const char* key, bool asked, bool any, const std::string& value) {
  ATROUS_CHECK(!asked || any, ErrorKind::config,
               "[optimizer.{}] needs a network with a separate backbone. Got {}. Leave it out, or give "
               "optimizer.groups.",
               key, value);
}

}  // namespace

std::vector<int64_t> backbone_layers(const std::vector<layers::NamedParameter>& parameters,
                                     const InBackbone& in_backbone) {
  std::vector<int64_t> layers(parameters.size(), -1);
  int64_t count = 0;
  std::string last;
  for (size_t i = 0; i < parameters.size(); ++i) {
    const std::string& name = parameters[i].name;
    if (!in_backbone || !in_backbone(name)) continue;
    const std::string layer = layer_name(name);
    // A norm outside of blocks has vectors only.
    const bool begins_with_vector = parameters[i].variable.value().rank() <= 1;
    if (count == 0 || (layer != last && !begins_with_vector)) ++count;
    last = layer;
    layers[i] = count - 1;
  }
  return layers;
}

std::vector<ParameterRate> parameter_rates(const OptimizerOptions& options,
                                           const std::vector<layers::NamedParameter>& parameters,
                                           const InBackbone& in_backbone) {
  const std::vector<int64_t> layers = backbone_layers(parameters, in_backbone);
  const int64_t count = layers.empty() ? 0 : *std::ranges::max_element(layers) + 1;
  check_backbone("backbone_lr_factor", options.backbone_lr_factor != 1, count > 0,
                 fmt::format("{}", options.backbone_lr_factor));
  check_backbone("layer_decay", options.layer_decay != 1, count > 0, fmt::format("{}", options.layer_decay));
  check_backbone("freeze_backbone_steps", options.freeze_backbone_steps > 0, count > 0,
                 fmt::format("{}", options.freeze_backbone_steps));
  std::vector<ParameterRate> rates(parameters.size());
  for (size_t i = 0; i < parameters.size(); ++i) {
    ParameterRate& rate = rates[i];
    const bool vector = parameters[i].variable.value().rank() <= 1;
    rate.weight_decay = vector && !options.decay_norm_and_bias ? 0 : options.weight_decay;
    if (layers[i] < 0) continue;
    rate.lr_factor = options.backbone_lr_factor;
    if (options.layer_decay != 1)
      rate.lr_factor *= std::pow(options.layer_decay, static_cast<double>(count - layers[i]));
    rate.first_step = options.freeze_backbone_steps;
  }
  for (const ParameterGroup& g : options.groups) {
    bool any = false;
    for (size_t i = 0; i < parameters.size(); ++i) {
      const std::string& name = parameters[i].name;
      if (!name.starts_with(g.prefix) || !name.ends_with(g.suffix)) continue;
      any = true;
      rates[i].lr_factor *= g.lr_factor;
      rates[i].weight_decay *= g.weight_decay_factor;
    }
    ATROUS_CHECK(any, ErrorKind::config,
                 "[optimizer.groups] must match parameters by name. Got prefix \"{}\" and suffix \"{}\", "
                 "which none has; the first is \"{}\". `atrous summary` lists them.",
                 g.prefix, g.suffix, parameters.empty() ? "" : parameters[0].name);
  }
  return rates;
}

}  // namespace atrous::train
