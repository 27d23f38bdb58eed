#include "nets/factory.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "core/text.h"
#include "layers/state_dict.h"
#include "nets/fcn.h"
#include "nets/unet.h"

namespace atrous::nets {
namespace {

using layers::SegmentationModel;
using ModelPtr = std::shared_ptr<SegmentationModel>;

// A network, and which of the options that not every network has it takes.
struct Network {
  const char* name;
  ModelPtr (*build)(const ModelOptions&);
  bool backbone = false, form = false, output_stride = false, aux = false, at_once = false, dropout = false;
};

// "resnet18" -> 18; 0 for anything else.
int64_t resnet_layers(const std::string& backbone) {
  for (const int64_t layers : {18, 34, 50, 101, 152}) {
    if (backbone == fmt::format("resnet{}", layers)) return layers;
  }
  return 0;
}

ModelPtr build_unet(const ModelOptions& o) {
  const bool valid = o.padding == "valid";
  ATROUS_CHECK(valid || o.padding == "same", ErrorKind::config,
               "[model.padding] must be \"same\" or \"valid\". Got \"{}\".", o.padding);
  const bool bilinear = o.upsampling == "bilinear";
  ATROUS_CHECK(bilinear || o.upsampling == "transposed", ErrorKind::config,
               "[model.upsampling] must be \"transposed\" or \"bilinear\". Got \"{}\".", o.upsampling);
  ATROUS_CHECK(o.depth >= 2 && o.depth <= 10, ErrorKind::config,
               "[model.depth] a U-Net has 2 to 10 levels. Got {}. The paper has 5.", o.depth);
  ATROUS_CHECK(o.base_width >= 1 && o.base_width <= 4096, ErrorKind::config,
               "[model.base_width] must be 1 to 4096. Got {}.", o.base_width);
  // The paper drops out "at the end of the contracting path" and does not say how much; one half is the usual
  // reading.
  const double dropout = o.dropout >= 0 ? o.dropout : valid ? 0.5 : 0.0;
  return make_unet({o.in_channels, o.num_classes, o.base_width, o.depth, valid, bilinear, o.norm, dropout});
}

template <int64_t stride>
ModelPtr build_fcn(const ModelOptions& o) {
  const std::string backbone = o.backbone.empty() ? "vgg16" : o.backbone;
  const bool vgg = backbone == "vgg16";
  ATROUS_CHECK(vgg || resnet_layers(backbone), ErrorKind::config,
               "[model.backbone] of {} must be vgg16, resnet18, resnet34, resnet50, resnet101 or resnet152. "
               "Got \"{}\".",
               o.name, o.backbone);
  ATROUS_CHECK(!o.at_once || (vgg && stride < 32), ErrorKind::config,
               "[model.at_once] scales the skips of fcn16s and fcn8s on vgg16. Got {} on {}.", o.name,
               backbone);
  if (vgg)
    return make_fcn_vgg({o.in_channels, o.num_classes, stride, o.at_once, o.dropout >= 0 ? o.dropout : 0.5});
  ATROUS_CHECK(o.dropout <= 0, ErrorKind::config,
               "[model.dropout] {} on a ResNet has no dropout. Got {}. Leave it out.", o.name, o.dropout);
  return make_fcn_resnet({o.in_channels, o.num_classes, stride, resnet_layers(backbone), o.norm});
}

template <int64_t depth>
ModelPtr build_dilated_fcn(const ModelOptions& o) {
  const int64_t stride = o.output_stride ? o.output_stride : 8;
  ATROUS_CHECK(stride == 8 || stride == 16 || stride == 32, ErrorKind::config,
               "[model.output_stride] of {} must be 8, 16 or 32. Got {}.", o.name, stride);
  return make_dilated_fcn(
      {o.in_channels, o.num_classes, depth, stride, o.aux_loss, o.dropout >= 0 ? o.dropout : 0.1, o.norm});
}

constexpr Network networks[] = {
    {.name = "unet", .build = build_unet, .form = true, .dropout = true},
    {.name = "fcn32s", .build = build_fcn<32>, .backbone = true, .at_once = true, .dropout = true},
    {.name = "fcn16s", .build = build_fcn<16>, .backbone = true, .at_once = true, .dropout = true},
    {.name = "fcn8s", .build = build_fcn<8>, .backbone = true, .at_once = true, .dropout = true},
    {.name = "fcn_resnet50",
     .build = build_dilated_fcn<50>,
     .output_stride = true,
     .aux = true,
     .dropout = true},
    {.name = "fcn_resnet101",
     .build = build_dilated_fcn<101>,
     .output_stride = true,
     .aux = true,
     .dropout = true},
};

const Network& find_network(const std::string& name) {
  for (const Network& n : networks) {
    if (name == n.name) return n;
  }
  const std::string nearest = nearest_word(name, model_names());
  fail(
      ErrorKind::config, "[model.name] must be one of {}. Got \"{}\".{}",
      [] {
        std::string all;
        for (const Network& n : networks) all += fmt::format("{}{}", all.empty() ? "" : ", ", n.name);
        return all;
      }(),
      name, nearest.empty() ? "" : fmt::format(" Did you mean \"{}\"?", nearest));
}

// An option that a network ignores is more likely a mistake than a wish.
void check_options(const Network& n, const ModelOptions& o) {
  const ModelOptions defaults;
  ATROUS_CHECK(o.num_classes >= 1 && o.num_classes <= 65536, ErrorKind::config,
               "[model.num_classes] must be 1 to 65536. Got {}.", o.num_classes);
  ATROUS_CHECK(o.in_channels >= 1 && o.in_channels <= 65536, ErrorKind::config,
               "[model.in_channels] must be 1 to 65536. Got {}.", o.in_channels);
  ATROUS_CHECK(o.dropout < 1, ErrorKind::config, "[model.dropout] must be below 1. Got {}.", o.dropout);
  ATROUS_CHECK(o.norm == "batch" || o.norm == "frozen" || o.norm == "group" || o.norm == "none",
               ErrorKind::config,
               "[model.norm] must be \"batch\", \"frozen\", \"group\" or \"none\". Got \"{}\".", o.norm);
  const auto unused = [&](bool takes, bool is_default, const char* key) {
    ATROUS_CHECK(takes || is_default, ErrorKind::config, "[model.{}] {} has no such option. Leave it out.",
                 key, n.name);
  };
  unused(n.backbone, o.backbone.empty(), "backbone");
  unused(n.form, o.base_width == defaults.base_width, "base_width");
  unused(n.form, o.depth == defaults.depth, "depth");
  unused(n.form, o.padding == defaults.padding, "padding");
  unused(n.form, o.upsampling == defaults.upsampling, "upsampling");
  unused(n.output_stride, o.output_stride == 0, "output_stride");
  unused(n.aux, !o.aux_loss, "aux_loss");
  unused(n.at_once, !o.at_once, "at_once");
  unused(n.dropout, o.dropout < 0, "dropout");
}

// Files of classification networks hold the backbone alone: "layer1.0.conv1.weight" for
// "backbone.layer1.0.conv1.weight". And VGG16's fully connected layers are FCN's fc6 and fc7 (Long et al.,
// section 3.1): the same numbers, as filters.
void adopt_backbone_names(TensorFile& file, const SegmentationModel& model) {
  const std::string prefix = model.backbone_prefix();
  bool has_fc6 = false, has_prefixed = false;
  for (const layers::NamedParameter& p : model.parameters()) has_fc6 |= p.name == "fc6.weight";
  for (const auto& [name, t] : file.tensors) has_prefixed |= name.starts_with(prefix);
  for (auto& [name, t] : file.tensors) {
    if (!prefix.empty() && !has_prefixed) name = prefix + name;
    if (!has_fc6) continue;
    if (name == "classifier.0.weight" && t.shape() == Shape{4096, 512 * 7 * 7})
      t = t.reshape({4096, 512, 7, 7});
    if (name == "classifier.3.weight" && t.shape() == Shape{4096, 4096}) t = t.reshape({4096, 4096, 1, 1});
    if (name.starts_with("classifier.0.")) name = "fc6." + name.substr(13);
    if (name.starts_with("classifier.3.")) name = "fc7." + name.substr(13);
  }
}

void load_start_weights(const SegmentationModel& model, const std::string& path) {
  ATROUS_CHECK(std::filesystem::exists(path), ErrorKind::checkpoint,
               "[model.weights] the file must exist. Got \"{}\". Check the path.", path);
  TensorFile file = read_safetensors(path);
  std::erase_if(file.tensors, [](const auto& t) {  // what a checkpoint holds besides the network
    return t.first.starts_with("optimizer.") || t.first.starts_with("average.");
  });
  // First the wrapper, so that the names below it are recognised.
  const std::string wrapper = layers::wrapper_prefix(file, model);
  for (auto& [name, t] : file.tensors) name.erase(0, wrapper.size());
  adopt_backbone_names(file, model);
  layers::LoadReport report = load_state_dict(model, file, {.strict = false, .fold_input_channels = true});
  report.stripped_prefix = wrapper + report.stripped_prefix;
  std::fprintf(stderr, "weights from %s\n%s\n", path.c_str(), report.str().c_str());
  // Counters fit every network; they say nothing.
  const bool useful = std::any_of(report.loaded.begin(), report.loaded.end(), [](const std::string& name) {
    return !name.ends_with("num_batches_tracked");
  });
  ATROUS_CHECK(useful, ErrorKind::checkpoint,
               "[model.weights {}] nothing in the file fits the network. Got {} tensors, the first named "
               "\"{}\". Use weights of "
               "this network or of its backbone.",
               path, file.tensors.size(), file.tensors.empty() ? "" : file.tensors[0].first);
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
  const Network& network = find_network(options.name);
  check_options(network, options);
  ModelPtr model = network.build(options);
  freeze(*model, options.freeze);
  return model;
}

ModelPtr make_model(const ModelOptions& options, uint64_t seed) {
  ModelPtr model = build_model(options);
  model->initialise(seed);
  if (!options.weights.empty()) load_start_weights(*model, options.weights);
  return model;
}

}  // namespace atrous::nets
