#include "nets/factory.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "core/terminal.h"
#include "core/text.h"
#include "nets/crf_as_rnn.h"
#include "nets/networks.h"
#include "nets/start_weights.h"

namespace atrous::nets {
namespace {

using layers::DetectionModel;
using layers::Model;
using layers::SegmentationModel;

// A network and those of the options below that it takes, separated by blanks.
template <class Ptr>
struct NetworkOf {
  const char* name;
  Ptr (*build)(const ModelOptions&);
  std::string_view options;
};
using Network = NetworkOf<ModelPtr>;
using Detector = NetworkOf<DetectorPtr>;

constexpr std::string_view dilated_fcn_options =
    "backbone_norm width_multiplier output_stride multi_grid stem aux_loss dropout";
constexpr std::string_view deeplabv3_options =
    "backbone_norm width_multiplier output_stride rates multi_grid stem aux_loss dropout";
constexpr std::string_view any_backbone_deeplab_options =
    "form backbone backbone_norm norm_eps conv_padding drop_path width_multiplier output_stride rates "
    "multi_grid stem align_corners dropout";
constexpr std::string_view resnet_options =
    "backbone_norm norm_eps width_multiplier output_stride multi_grid stem";
constexpr std::string_view classifier_options =
    "backbone_norm norm_eps width_multiplier output_stride dropout";
constexpr std::string_view efficientnet_options =
    "backbone_norm norm_eps conv_padding drop_path width_multiplier output_stride dropout";

template <int64_t stride>
ModelPtr build_fcn_of(const ModelOptions& options) {
  return build_fcn(options, stride);
}

constexpr Network networks[] = {
    {"unet", build_unet, "backbone base_width depth padding upsampling dropout"},
    {"fcn32s", build_fcn_of<32>, "backbone backbone_norm width_multiplier at_once dropout"},
    {"fcn16s", build_fcn_of<16>, "backbone backbone_norm width_multiplier at_once dropout"},
    {"fcn8s", build_fcn_of<8>, "backbone backbone_norm width_multiplier at_once dropout"},
    {"fcn_resnet50", build_torchvision_segmentation, dilated_fcn_options},
    {"fcn_resnet101", build_torchvision_segmentation, dilated_fcn_options},
    {"deeplabv3_resnet50", build_torchvision_segmentation, deeplabv3_options},
    {"deeplabv3_resnet101", build_torchvision_segmentation, deeplabv3_options},
    {"pspnet", build_pspnet,
     "form backbone backbone_norm norm_eps conv_padding drop_path width_multiplier output_stride multi_grid "
     "stem align_corners aux_loss dropout"},
    {"segnet", build_segnet, "form backbone_norm width_multiplier"},
    {"fc_densenet", build_fc_densenet, "layers width_multiplier dropout"},
    {"deeplabv3_mobilenet_v3_large", build_torchvision_segmentation,
     "backbone_norm width_multiplier output_stride rates aux_loss dropout"},
    {"lraspp_mobilenet_v3_large", build_lraspp, "backbone_norm width_multiplier output_stride"},
    {"deeplabv1", build_deeplabv1, "width_multiplier output_stride rates align_corners dropout"},
    {"deeplabv2", build_deeplabv2,
     "backbone backbone_norm norm_eps conv_padding drop_path width_multiplier output_stride rates multi_grid "
     "stem input_scales align_corners dropout"},
    {"deeplabv3", build_deeplabv3, any_backbone_deeplab_options},
    {"deeplabv3plus", build_deeplabv3plus, any_backbone_deeplab_options},
    {"layers", build_layer_list, "layer_list"},
};

// Networks that classify whole images.
constexpr Network classifiers[] = {
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
    {"mobilenet_v3_small", build_classifier, classifier_options},
    {"efficientnet_lite0", build_classifier, efficientnet_options},
    {"efficientnet_lite1", build_classifier, efficientnet_options},
    {"efficientnet_lite2", build_classifier, efficientnet_options},
    {"efficientnet_lite3", build_classifier, efficientnet_options},
    {"efficientnet_lite4", build_classifier, efficientnet_options},
    {"efficientnet_b0", build_classifier, efficientnet_options},
    {"efficientnet_b1", build_classifier, efficientnet_options},
    {"efficientnet_b2", build_classifier, efficientnet_options},
    {"efficientnet_b3", build_classifier, efficientnet_options},
    {"efficientnet_b4", build_classifier, efficientnet_options},
    {"efficientnet_b5", build_classifier, efficientnet_options},
    {"efficientnet_b6", build_classifier, efficientnet_options},
    {"efficientnet_b7", build_classifier, efficientnet_options},
    {"lenet5", build_lenet5, "width_multiplier input_size"},
    {"alexnet", build_alexnet, "form width_multiplier dropout"},
    {"googlenet", build_googlenet, "width_multiplier transform_input aux_loss dropout"},
    {"inception_v3", build_inception_v3, "width_multiplier transform_input aux_loss dropout"},
};

constexpr std::string_view fpn_options =
    "backbone backbone_norm norm_eps conv_padding drop_path width_multiplier stem detection";

constexpr Detector detectors[] = {
    {"maskrcnn_resnet50_fpn", build_rcnn, fpn_options},
    {"maskrcnn_resnet50_fpn_v2", build_rcnn, fpn_options},
    {"fasterrcnn_resnet50_fpn", build_rcnn, fpn_options},
    {"fasterrcnn_resnet50_fpn_v2", build_rcnn, fpn_options},
    {"fasterrcnn_vgg16", build_rcnn, "backbone backbone_norm width_multiplier dropout detection"},
};

// What some networks are with an option: they may have little in common with the plain ones but the name.
struct Variant {
  const char* of;
  bool (*fits)(const ModelOptions&);
  Network network;
};
constexpr Variant variants[] = {
    {"unet",
     [](const ModelOptions& o) { return !o.backbone.empty(); },
     {"unet with a backbone", build_backbone_unet,
      "backbone backbone_norm norm_eps conv_padding drop_path width_multiplier attention"}},
    {"pspnet",
     [](const ModelOptions& o) { return o.form == NetworkForm::smp; },
     {"pspnet of form smp", build_pspnet,
      "form backbone backbone_norm norm_eps conv_padding drop_path width_multiplier output_stride stem "
      "align_corners dropout"}},
    {"segnet",
     [](const ModelOptions& o) { return o.form == NetworkForm::basic; },
     {"segnet of form basic", build_segnet, "form width_multiplier"}},
    {"deeplabv2",
     [](const ModelOptions& o) { return o.backbone == "vgg16"; },
     {"deeplabv2 on vgg16", build_deeplabv2,
      "backbone backbone_norm width_multiplier output_stride rates input_scales align_corners dropout"}},
};

// The options that not every network takes, and whether they have their default values.
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
    {"form", [](const ModelOptions& o) { return !o.form.has_value(); }},
    {"stem", [](const ModelOptions& o) { return !o.stem.has_value(); }},
    {"attention", [](const ModelOptions& o) { return o.attention == defaults.attention; }},
    {"backbone_norm", [](const ModelOptions& o) { return !o.backbone_norm.has_value(); }},
    {"norm_eps", [](const ModelOptions& o) { return o.norm_eps == 0; }},
    {"conv_padding", [](const ModelOptions& o) { return !o.conv_padding.has_value(); }},
    {"drop_path", [](const ModelOptions& o) { return o.drop_path == 0; }},
    {"output_stride", [](const ModelOptions& o) { return o.output_stride == 0; }},
    {"rates", [](const ModelOptions& o) { return o.rates.empty(); }},
    {"multi_grid", [](const ModelOptions& o) { return o.multi_grid.empty(); }},
    {"input_scales", [](const ModelOptions& o) { return o.input_scales.empty(); }},
    {"align_corners", [](const ModelOptions& o) { return !o.align_corners.has_value(); }},
    {"aux_loss", [](const ModelOptions& o) { return !o.aux_loss; }},
    {"at_once", [](const ModelOptions& o) { return !o.at_once; }},
    {"input_size", [](const ModelOptions& o) { return o.input_size == defaults.input_size; }},
    {"transform_input", [](const ModelOptions& o) { return !o.transform_input; }},
    {"dropout", [](const ModelOptions& o) { return o.dropout < 0; }},
    {"layer_list", [](const ModelOptions& o) { return o.layer_list.empty(); }},
    {"detection", [](const ModelOptions& o) { return o.detection == defaults.detection; }},
};

// Null if there is no network of that name and kind.
const Network* find_classifier(const std::string& name) {
  const auto* found = std::find_if(std::begin(classifiers), std::end(classifiers),
                                   [&](const Network& n) { return name == n.name; });
  return found == std::end(classifiers) ? nullptr : found;
}

const Network* find_network(const ModelOptions& o) {
  for (const Variant& v : variants) {
    if (o.name == v.of && v.fits(o)) return &v.network;
  }
  const auto* found = std::find_if(std::begin(networks), std::end(networks),
                                   [&](const Network& n) { return o.name == n.name; });
  return found == std::end(networks) ? find_classifier(o.name) : found;
}

const Detector* find_detector(const std::string& name) {
  const auto* found = std::find_if(std::begin(detectors), std::end(detectors),
                                   [&](const Detector& n) { return name == n.name; });
  return found == std::end(detectors) ? nullptr : found;
}

[[noreturn]] void fail_unknown(const std::string& name) {
  const std::vector<std::string> names = model_names();
  const std::string nearest = nearest_word(name, names);
  fail(ErrorKind::config, "[model.name] must be one of {}. Got \"{}\".{}", fmt::join(names, ", "), name,
       nearest.empty() ? "" : fmt::format(" Did you mean \"{}\"?", nearest));
}

void check_range(const char* option, int64_t value, OptionRange range) {
  ATROUS_CHECK(value >= range.low && value <= range.high, ErrorKind::config,
               "[model.{}] must be {} to {}. Got {}.", option, range.low, range.high, value);
}

// An option that a network ignores is more likely a mistake than intended.
void check_options(const ModelOptions& o) {
  check_range("num_classes", o.num_classes, num_classes_range);
  check_range("in_channels", o.in_channels, in_channels_range);
  check_range("depth", o.depth, depth_range);
  check_range("base_width", o.base_width, base_width_range);
  ATROUS_CHECK(o.norm_eps >= 0 && o.norm_eps <= 1, ErrorKind::config,
               "[model.norm_eps] must be 0 to 1. Got {}.", o.norm_eps);
  ATROUS_CHECK(o.drop_path >= 0 && o.drop_path < 1, ErrorKind::config,
               "[model.drop_path] must be at least 0 and below 1. Got {}.", o.drop_path);
  ATROUS_CHECK(o.dropout < 1, ErrorKind::config, "[model.dropout] must be below 1. Got {}.", o.dropout);
  ATROUS_CHECK(o.width_multiplier > 0 && o.width_multiplier <= largest_width_multiplier, ErrorKind::config,
               "[model.width_multiplier] must be above 0 and at most {}. Got {}.", largest_width_multiplier,
               o.width_multiplier);
  for (const OptionalKey& k : optional_keys) {
    const std::optional<IgnoredOption> ignored = ignored_option(o, k.key);
    ATROUS_CHECK(!ignored || k.is_default(o), ErrorKind::config,
                 "[model.{}] is an option of {}. Got {}. Leave it out.", k.key, ignored->users,
                 ignored->network);
  }
}

void freeze(const Model& model, const std::vector<std::string>& prefixes) {
  for (const std::string& prefix : prefixes) {
    bool any = false;
    for (const layers::NamedParameter& p : model.parameters()) {
      if (!p.name.starts_with(prefix)) continue;
      p.variable.set_requires_grad(false);
      any = true;
    }
    ATROUS_CHECK(any, ErrorKind::config,
                 "[model.freeze] must hold prefixes of parameter names. Got \"{}\", which no parameter name "
                 "begins with; the first is \"{}\". `atrous summary` lists them.",
                 prefix, model.parameters()[0].name);
  }
}

}  // namespace

std::vector<std::string> model_names() {
  std::vector<std::string> names;
  for (const Network& n : networks) names.emplace_back(n.name);
  for (const Network& n : classifiers) names.emplace_back(n.name);
  for (const Detector& n : detectors) names.emplace_back(n.name);
  return names;
}

std::optional<IgnoredOption> ignored_option(const ModelOptions& options, std::string_view key) {
  const bool optional =
      std::ranges::any_of(optional_keys, [&](const OptionalKey& k) { return k.key == key; });
  const Network* network = find_network(options);
  const Detector* detector = find_detector(options.name);
  if (!optional || (!network && !detector)) return std::nullopt;
  if (contains_word(network ? network->options : detector->options, key)) return std::nullopt;
  std::vector<std::string> users;
  const auto add_users = [&](const auto& table) {
    for (const auto& n : table) {
      if (contains_word(n.options, key)) users.emplace_back(n.name);
    }
  };
  add_users(networks);
  add_users(classifiers);
  add_users(detectors);
  for (const Variant& v : variants) {
    if (contains_word(v.network.options, key) && std::ranges::find(users, v.of) == users.end())
      users.emplace_back(v.network.name);
  }
  return IgnoredOption{fmt::format("network \"{}\"", fmt::join(users, "\" or \"")),
                       fmt::format("network \"{}\"", network ? network->name : detector->name)};
}

bool is_detector(const std::string& model_name) {
  return find_detector(model_name) != nullptr;
}

bool is_classifier(const std::string& model_name) {
  return find_classifier(model_name) != nullptr;
}

std::shared_ptr<Model> build_network(const ModelOptions& options) {
  std::shared_ptr<Model> model;
  const auto build = [&](const auto& network) {
    check_options(options);
    model = network.build(options);
  };
  if (const Network* network = find_network(options)) {
    build(*network);
  } else if (const Detector* detector = find_detector(options.name)) {
    build(*detector);
  } else {
    fail_unknown(options.name);
  }
  if (options.crf_as_rnn) {
    const ModelPtr labels = std::dynamic_pointer_cast<SegmentationModel>(model);
    ATROUS_CHECK(
        labels && labels->labels_pixels(), ErrorKind::config,
        "[model.crf_as_rnn] a CRF refines the classes of pixels. Got {}, which {}. Leave the section out.",
        model->kind(), labels ? "classifies whole images" : "is a detection model");
    model = with_crf(labels, *options.crf_as_rnn);
  }
  freeze(*model, options.freeze);
  return model;
}

std::shared_ptr<Model> make_network(const ModelOptions& options, uint64_t seed) {
  std::shared_ptr<Model> model = build_network(options);
  model->initialise(seed);
  const auto start_from = [&](const std::string& path, const ImportOptions& how) {
    if (path.empty()) return;
    print_to(stderr, "weights from {}\n{}\n", path, import_weights(*model, path, how).str());
  };
  const bool inception = options.name == "googlenet" || options.name == "inception_v3";
  if (inception && !options.transform_input && !options.weights.empty())
    print_to(stderr,
             "note: torchvision's published weights of {} need model.transform_input true; it is false\n",
             options.name);
  start_from(options.weights, {});
  start_from(options.backbone_weights, {.where = "model.weights.backbone", .backbone_only = true});
  return model;
}

ModelPtr as_segmentation(const std::shared_ptr<Model>& network) {
  ModelPtr model = std::dynamic_pointer_cast<SegmentationModel>(network);
  ATROUS_CHECK(model, ErrorKind::config,
               "[model.name] must be a semantic model here. Got {}, which is a detection model.",
               network->kind());
  return model;
}

DetectorPtr as_detector(const std::shared_ptr<Model>& network) {
  DetectorPtr model = std::dynamic_pointer_cast<DetectionModel>(network);
  ATROUS_CHECK(
      model, ErrorKind::config,
      "[model.name] must be a detection model here. Got {}, which is a semantic or classification model.",
      network->kind());
  return model;
}

ModelPtr build_model(const ModelOptions& options) {
  return as_segmentation(build_network(options));
}
ModelPtr make_model(const ModelOptions& options, uint64_t seed) {
  return as_segmentation(make_network(options, seed));
}
DetectorPtr build_detector(const ModelOptions& options) {
  return as_detector(build_network(options));
}
DetectorPtr make_detector(const ModelOptions& options, uint64_t seed) {
  return as_detector(make_network(options, seed));
}

}  // namespace atrous::nets
