#include "nets/factory.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "core/text.h"
#include "nets/networks.h"
#include "nets/start_weights.h"

namespace atrous::nets {
namespace {

using layers::SegmentationModel;

// A network and which of the options below it takes, separated by blanks.
struct Network {
  const char* name;
  ModelPtr (*build)(const ModelOptions&);
  std::string_view options;
};

constexpr std::string_view dilated_fcn_options =
    "backbone_norm width_multiplier output_stride multi_grid stem aux_loss dropout";
constexpr std::string_view deeplabv3_options =
    "backbone_norm width_multiplier output_stride rates multi_grid stem aux_loss dropout";
constexpr std::string_view resnet_options = "backbone_norm width_multiplier output_stride multi_grid stem";
constexpr std::string_view classifier_options = "backbone_norm width_multiplier output_stride dropout";

constexpr Network networks[] = {
    {"unet", build_unet, "backbone base_width depth padding upsampling dropout"},
    {"fcn32s", build_fcn, "backbone backbone_norm width_multiplier at_once dropout"},
    {"fcn16s", build_fcn, "backbone backbone_norm width_multiplier at_once dropout"},
    {"fcn8s", build_fcn, "backbone backbone_norm width_multiplier at_once dropout"},
    {"fcn_resnet50", build_torchvision_segmentation, dilated_fcn_options},
    {"fcn_resnet101", build_torchvision_segmentation, dilated_fcn_options},
    {"deeplabv3_resnet50", build_torchvision_segmentation, deeplabv3_options},
    {"deeplabv3_resnet101", build_torchvision_segmentation, deeplabv3_options},
    {"pspnet", build_pspnet,
     "form backbone backbone_norm width_multiplier output_stride multi_grid stem align_corners aux_loss "
     "dropout"},
    {"segnet", build_segnet, "form backbone_norm width_multiplier"},
    {"fc_densenet", build_fc_densenet, "layers width_multiplier dropout"},
    {"deeplabv3_mobilenet_v3_large", build_torchvision_segmentation,
     "backbone_norm width_multiplier output_stride rates aux_loss dropout"},
    {"lraspp_mobilenet_v3_large", build_lraspp, "backbone_norm width_multiplier output_stride"},
    {"resnet18", build_classifier, resnet_options},
    {"resnet34", build_classifier, resnet_options},
    {"resnet50", build_classifier, resnet_options},
    {"resnet101", build_classifier, resnet_options},
    {"resnet152", build_classifier, resnet_options},
    {"resnext50_32x4d", build_classifier, resnet_options},
    {"resnext101_32x8d", build_classifier, resnet_options},
    {"vgg16", build_classifier, classifier_options},
    {"vgg16_bn", build_classifier, classifier_options},
    {"vgg19", build_classifier, classifier_options},
    {"vgg19_bn", build_classifier, classifier_options},
    {"mobilenet_v2", build_classifier, classifier_options},
    {"mobilenet_v3_large", build_classifier, classifier_options},
    {"deeplabv1", build_deeplabv1, "width_multiplier output_stride rates align_corners dropout"},
    {"deeplabv2", build_deeplabv2,
     "backbone backbone_norm width_multiplier output_stride rates multi_grid stem input_scales align_corners "
     "dropout"},
    {"deeplabv3", build_deeplabv3,
     "form backbone backbone_norm width_multiplier output_stride rates multi_grid stem align_corners "
     "dropout"},
    {"deeplabv3plus", build_deeplabv3plus,
     "form backbone backbone_norm width_multiplier output_stride rates multi_grid stem align_corners "
     "dropout"},
};

// What "unet" is once a backbone is given: little is common to the two but the name.
constexpr Network unet_on_backbone = {"unet with a backbone", build_backbone_unet,
                                      "backbone backbone_norm width_multiplier attention"};

// The options that not every network takes, and whether they are as they were.
struct OptionalKey {
  std::string_view key;
  bool (*is_default)(const ModelOptions&);
};
const ModelOptions defaults;
const OptionalKey optional_keys[] = {
    {"backbone", [](const ModelOptions& o) { return o.backbone.empty(); }},
    {"width_multiplier", [](const ModelOptions& o) { return o.width_multiplier == 1; }},
    {"base_width", [](const ModelOptions& o) { return o.base_width == defaults.base_width; }},
    {"depth", [](const ModelOptions& o) { return o.depth == defaults.depth; }},
    {"layers", [](const ModelOptions& o) { return o.layers == 0; }},
    {"padding", [](const ModelOptions& o) { return o.padding == defaults.padding; }},
    {"upsampling", [](const ModelOptions& o) { return o.upsampling == defaults.upsampling; }},
    {"form", [](const ModelOptions& o) { return o.form.empty(); }},
    {"stem", [](const ModelOptions& o) { return o.stem.empty(); }},
    {"attention", [](const ModelOptions& o) { return o.attention == defaults.attention; }},
    {"backbone_norm", [](const ModelOptions& o) { return o.backbone_norm.empty(); }},
    {"output_stride", [](const ModelOptions& o) { return o.output_stride == 0; }},
    {"rates", [](const ModelOptions& o) { return o.rates.empty(); }},
    {"multi_grid", [](const ModelOptions& o) { return o.multi_grid.empty(); }},
    {"input_scales", [](const ModelOptions& o) { return o.input_scales.empty(); }},
    {"align_corners", [](const ModelOptions& o) { return !o.align_corners.has_value(); }},
    {"aux_loss", [](const ModelOptions& o) { return !o.aux_loss; }},
    {"at_once", [](const ModelOptions& o) { return !o.at_once; }},
    {"dropout", [](const ModelOptions& o) { return o.dropout < 0; }},
};

bool takes(const Network& n, std::string_view key) {
  for (size_t at = n.options.find(key); at != std::string_view::npos; at = n.options.find(key, at + 1)) {
    const size_t end = at + key.size();
    if ((at == 0 || n.options[at - 1] == ' ') && (end == n.options.size() || n.options[end] == ' '))
      return true;
  }
  return false;
}

const Network& find_network(const ModelOptions& o) {
  const std::string& name = o.name;
  if (name == "unet" && !o.backbone.empty()) return unet_on_backbone;
  for (const Network& n : networks) {
    if (name == n.name) return n;
  }
  const std::vector<std::string> names = model_names();
  const std::string nearest = nearest_word(name, names);
  fail(ErrorKind::config, "[model.name] must be one of {}. Got \"{}\".{}", fmt::join(names, ", "), name,
       nearest.empty() ? "" : fmt::format(" Did you mean \"{}\"?", nearest));
}

bool is_norm(const std::string& norm) {
  return norm == "batch" || norm == "frozen" || norm == "group" || norm == "none";
}

// An option that a network ignores is more likely a mistake than a wish.
void check_options(const Network& n, const ModelOptions& o) {
  ATROUS_CHECK(o.num_classes >= 1 && o.num_classes <= 65536, ErrorKind::config,
               "[model.num_classes] must be 1 to 65536. Got {}.", o.num_classes);
  ATROUS_CHECK(o.in_channels >= 1 && o.in_channels <= 65536, ErrorKind::config,
               "[model.in_channels] must be 1 to 65536. Got {}.", o.in_channels);
  ATROUS_CHECK(o.dropout < 1, ErrorKind::config, "[model.dropout] must be below 1. Got {}.", o.dropout);
  ATROUS_CHECK(o.width_multiplier > 0 && o.width_multiplier <= 16, ErrorKind::config,
               "[model.width_multiplier] must be above 0 and at most 16. Got {}.", o.width_multiplier);
  ATROUS_CHECK(is_norm(o.norm), ErrorKind::config,
               "[model.norm] must be \"batch\", \"frozen\", \"group\" or \"none\". Got \"{}\".", o.norm);
  ATROUS_CHECK(o.backbone_norm.empty() || is_norm(o.backbone_norm), ErrorKind::config,
               "[model.backbone_norm] must be \"batch\", \"frozen\", \"group\" or \"none\". Got \"{}\".",
               o.backbone_norm);
  for (const OptionalKey& k : optional_keys) {
    ATROUS_CHECK(takes(n, k.key) || k.is_default(o), ErrorKind::config,
                 "[model.{}] {} has no such option. Leave it out; it takes {}.", k.key, n.name, n.options);
  }
}

void freeze(const SegmentationModel& model, const std::vector<std::string>& prefixes) {
  for (const std::string& prefix : prefixes) {
    bool any = false;
    for (const layers::NamedParameter& p : model.parameters()) {
      if (!p.name.starts_with(prefix)) continue;
      p.variable.set_requires_grad(false);
      any = true;
    }
    ATROUS_CHECK(any, ErrorKind::config,
                 "[model.freeze] must hold prefixes of parameter names. Got \"{}\", which none begins with; "
                 "the first is "
                 "\"{}\". `atrous summary` lists them.",
                 prefix, model.parameters()[0].name);
  }
}

}  // namespace

std::vector<std::string> model_names() {
  std::vector<std::string> names;
  for (const Network& n : networks) names.emplace_back(n.name);
  return names;
}

ModelPtr build_model(const ModelOptions& options) {
  const Network& network = find_network(options);
  check_options(network, options);
  ModelPtr model = network.build(options);
  freeze(*model, options.freeze);
  return model;
}

ModelPtr make_model(const ModelOptions& options, uint64_t seed) {
  ModelPtr model = build_model(options);
  model->initialise(seed);
  const auto start_from = [&](const std::string& path, const ImportOptions& how) {
    if (path.empty()) return;
    std::fprintf(stderr, "weights from %s\n%s\n", path.c_str(),
                 import_weights(*model, path, how).str().c_str());
  };
  start_from(options.weights, {});
  start_from(options.backbone_weights, {.where = "model.weights.backbone", .backbone_only = true});
  return model;
}

}  // namespace atrous::nets
