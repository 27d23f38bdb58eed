#include "nets/start_weights.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <regex>

#include <fmt/format.h>

#include "core/weights_file.h"
#include "layers/finite.h"
#include "nets/backbone.h"
#include "nets/efficientnet_names.h"
#include "nets/published_weights.h"

namespace atrous::nets {

using layers::Model;

namespace {

// VGG16's fully connected layers are FCN's and DeepLab's fc6 and fc7 (Long et al., section 3.1): the same
// numbers, as filters. They are also those of Faster R-CNN's head.
void adopt_fully_connected(TensorFile& file, const std::map<std::string, Shape>& wanted) {
  const std::string head = "roi_heads.box_head.";
  if (const auto fc6 = wanted.find(head + "fc6.weight");
      fc6 != wanted.end() && fc6->second == Shape{4096, 512 * 7 * 7}) {
    for (auto& [name, t] : file.tensors) {
      if (name.starts_with("classifier.0.")) name = head + "fc6." + name.substr(13);
      if (name.starts_with("classifier.3.")) name = head + "fc7." + name.substr(13);
    }
  }
  if (!wanted.contains("fc6.weight")) return;
  const auto as_filters = [](const Tensor& t, const Shape& krsc) {
    const bool fits = t.rank() == 2 && t.dim(0) == krsc[0] && t.dim(1) == krsc[1] * krsc[2] * krsc[3];
    return fits ? t.reshape({krsc[0], krsc[3], krsc[1], krsc[2]}) : t;
  };
  for (auto& [name, t] : file.tensors) {
    if (name == "classifier.0.weight") t = as_filters(t, wanted.at("fc6.weight"));
    if (name == "classifier.3.weight") t = as_filters(t, wanted.at("fc7.weight"));
    if (name.starts_with("classifier.0.")) name = "fc6." + name.substr(13);
    if (name.starts_with("classifier.3.")) name = "fc7." + name.substr(13);
  }
}

// Prefixes of a network's features in files: classification networks at the top or under "features.",
// segmentation and detection networks under a separate name.
constexpr const char* feature_prefixes[] = {"",         "features.",         "backbone.",
                                            "encoder.", "encoder.features.", "backbone.body."};

// The ImageNet files of PSPNet's authors call the convolutions and norms of the deep stem conv1, bn1 ...
// conv3, bn3; their networks, and ours, have them as layer0.0 ... layer0.7.
void adopt_deep_stem(TensorFile& file, const std::string& own, const std::map<std::string, Shape>& wanted) {
  if (!wanted.contains(own + "layer0.0.weight")) return;
  for (const std::string prefix : feature_prefixes) {
    if (!file.find(prefix + "conv3.weight")) continue;  // a plain stem has conv1 alone
    for (auto& [name, t] : file.tensors) {
      for (int i = 0; i < 3; ++i) {
        const std::string conv = fmt::format("{}conv{}.", prefix, i + 1);
        const std::string norm = fmt::format("{}bn{}.", prefix, i + 1);
        if (name.starts_with(conv))
          name = fmt::format("{}layer0.{}.{}", prefix, 3 * i, name.substr(conv.size()));
        if (name.starts_with(norm))
          name = fmt::format("{}layer0.{}.{}", prefix, 3 * i + 1, name.substr(norm.size()));
      }
    }
  }
}

// What the renaming knows of its purpose, and what it has to say.
struct Import {
  std::string where;  // for messages
  bool backbone_only = false;
  std::vector<std::string> notes = {};
};

// Prefixes of the whole encoder, EfficientNet's classifier and torchvision's "features." included.
constexpr const char* encoder_prefixes[] = {"", "backbone.", "encoder.", "backbone.body."};

RowCounts rows_of(const TensorFile& file) {
  RowCounts rows;
  for (const auto& [name, t] : file.tensors) rows[name] = t.defined() && t.rank() > 0 ? t.dim(0) : -1;
  return rows;
}

// Weights of another size may fit by their names, and those for another padding or eps compute something
// else: errors, since neither shows in a loss.
void check_efficientnet(const EfficientNetInside& net, const EfficientNetNames& names,
                        const std::string& where) {
  ATROUS_CHECK(!names.form || !net.form || names.form == net.form, ErrorKind::checkpoint,
               "[{}] the file must hold the network's EfficientNet. Got {} for {}. Use a file of {}, or set "
               "the name in the config to {}.",
               where, names.form->name, net.form->name, net.form->name, names.form->name);
  ATROUS_CHECK(
      !names.padding || (net.padding == *names.padding && net.eps == *names.eps), ErrorKind::checkpoint,
      "[{}] weights of {} are for model.conv_padding \"{}\" and model.norm_eps {}. Got \"{}\" and {}. "
      "Set both.",
      where, names.program, *names.padding, *names.eps, net.padding, net.eps);
}

// segmentation_models_pytorch's networks on efficientnet-pytorch. Its efficientnet-b0, alone among the sizes,
// gives the decoder a map from within a stage: for a decoder of those weights there is no network here.
void check_smp_decoder(const TensorFile& file, const EfficientNetForm* form, const Import& import) {
  const bool decoder = std::any_of(file.tensors.begin(), file.tensors.end(),
                                   [](const auto& t) { return t.first.starts_with("decoder."); });
  ATROUS_CHECK(
      !decoder || import.backbone_only || !form || form->name != std::string("efficientnet_b0"),
      ErrorKind::checkpoint,
      "[{}] the decoder of segmentation_models_pytorch's efficientnet-b0 reads a map that this network "
      "does not have (behind block 8, not 10). Got such a file. Load its encoder alone "
      "(model.weights.backbone, or import-weights --backbone).",
      import.where);
}

// Renames an EfficientNet of torchvision or efficientnet-pytorch to timm's names, which are the network's.
void adopt_efficientnet(TensorFile& file, const Model& model, Import& import) {
  const std::optional<EfficientNetInside> net = efficientnet_in(model);
  if (!net) return;
  const RowCounts rows = rows_of(file);
  for (const std::string prefix : encoder_prefixes) {
    const std::optional<EfficientNetNames> names = efficientnet_names(rows, prefix);
    if (!names) continue;
    check_efficientnet(*net, *names, import.where);
    if (names->padding == ConvPadding::tensorflow) {
      check_smp_decoder(file, names->form, import);
      import.notes.emplace_back(
          "efficientnet-pytorch pads for images of one size; at sizes that halve otherwise, its borders "
          "differ");
    }
    if (!names->padding && prefix == "encoder." && net->padding == ConvPadding::tensorflow)
      import.notes.emplace_back(
          "weights that segmentation_models_pytorch trained under these names are for model.conv_padding "
          "\"symmetric\" and model.norm_eps 1e-05");
    for (auto& [name, t] : file.tensors) {
      if (const auto own = names->own.find(name); own != names->own.end()) name = prefix + own->second;
    }
  }
}

// The prefix under which most tensors of the file are, by name, parameters and buffers of the backbone.
std::string backbone_prefix_in(const TensorFile& file, const std::string& own,
                               const std::map<std::string, Shape>& wanted) {
  std::string best = own;
  size_t most = 0;
  for (const std::string prefix : feature_prefixes) {
    const auto fits =
        static_cast<size_t>(std::count_if(file.tensors.begin(), file.tensors.end(), [&](const auto& t) {
          return t.first.starts_with(prefix) && wanted.contains(own + t.first.substr(prefix.size()));
        }));
    if (fits > most) {
      most = fits;
      best = prefix;
    }
  }
  return best;
}

std::map<std::string, Shape> shapes_of(const Model& model) {
  std::map<std::string, Shape> shapes;
  model.visit([&](const std::string& name, const Variable* parameter, const Tensor* buffer) {
    shapes[name] = parameter ? parameter->value().shape() : buffer->shape();
  });
  return shapes;
}

// Renames every tensor of the file to the network's name for it, if there is one.
void rename_all(TensorFile& file, const Model& model, Import& import) {
  const std::map<std::string, Shape> wanted = shapes_of(model);
  for (auto& [name, t] : file.tensors) {
    if (wanted.contains(name)) continue;
    if (const std::string today = current_name(name); wanted.contains(today)) name = today;
  }
  adopt_fully_connected(file, wanted);
  adopt_efficientnet(file, model, import);
  adopt_deep_stem(file, model.backbone_prefix(), wanted);
  const std::string own = model.backbone_prefix(), theirs = backbone_prefix_in(file, own, wanted);
  if (theirs == own) return;
  for (auto& [name, t] : file.tensors) {
    if (!name.starts_with(theirs) || wanted.contains(name)) continue;
    if (const std::string here = own + name.substr(theirs.size()); wanted.contains(here)) name = here;
  }
}

// Names of two versions in one file may mean the same tensor. Which of them holds the weights is unknown.
void check_distinct(const TensorFile& file, const std::vector<std::string>& before, const char* where) {
  std::map<std::string, size_t> seen;
  for (size_t i = 0; i < before.size(); ++i) {
    const auto [other, fresh] = seen.emplace(file.tensors[i].first, i);
    ATROUS_CHECK(fresh, ErrorKind::checkpoint,
                 "[{} {}] a tensor of the network must have one tensor in the file. Got \"{}\" and \"{}\", "
                 "which both are \"{}\". Remove one of them from the file.",
                 where, file.origin, before[other->second], before[i], other->first);
  }
}

struct Rule {
  const char* old;
  const char* today;
};
// torchvision before 0.13 (detection), the first form of the widespread PyTorch U-Net, and DeepLab v3 of
// segmentation_models_pytorch before 0.5, whose decoder was a sequence.
constexpr Rule rules[] = {
    {R"(^(.*\bfpn\.(?:inner|layer)_blocks\.\d+)\.(weight|bias)$)", "$1.0.$2"},
    {R"(^(.*\brpn\.head\.conv)\.(weight|bias)$)", "$1.0.0.$2"},
    {R"(^(.*\bmask_head)\.mask_fcn1\.(weight|bias)$)", "$1.0.0.$2"},
    {R"(^(.*\bmask_head)\.mask_fcn2\.(weight|bias)$)", "$1.1.0.$2"},
    {R"(^(.*\bmask_head)\.mask_fcn3\.(weight|bias)$)", "$1.2.0.$2"},
    {R"(^(.*\bmask_head)\.mask_fcn4\.(weight|bias)$)", "$1.3.0.$2"},
    {R"(^inc\.conv\.conv\.(.*)$)", "inc.double_conv.$1"},
    {R"(^(down\d+)\.mpconv\.1\.conv\.(.*)$)", "$1.maxpool_conv.1.double_conv.$2"},
    {R"(^(up\d+)\.conv\.conv\.(.*)$)", "$1.conv.double_conv.$2"},
    {R"(^decoder\.0\.(.*)$)", "decoder.aspp.$1"},
    {R"(^decoder\.1\.(.*)$)", "decoder.conv.$1"},
    {R"(^decoder\.2\.(.*)$)", "decoder.bn.$1"},
};

}  // namespace

void use_current_names(TensorFile& file, const Model& model) {
  const std::string wrapper = layers::wrapper_prefix(file, model);
  std::vector<std::string> before;
  for (auto& [name, t] : file.tensors) {
    if (name.starts_with(wrapper)) name.erase(0, wrapper.size());
    before.push_back(name);
  }
  Import import{"weights " + file.origin};
  rename_all(file, model, import);
  file.notes.insert(file.notes.end(), import.notes.begin(), import.notes.end());
  check_distinct(file, before, "weights");
}

ModelOptions without_start_weights(ModelOptions options) {
  options.weights.clear();
  options.backbone_weights.clear();
  return options;
}

namespace {

struct Likeness {
  std::string backbone;
  size_t names = 0, shapes = 0;  // of parameters in common
  double width = 1;
};

// How well the file's tensors below a prefix match a backbone: all of its parameters must be there, with
// kernels of its size. Channels may differ, as model.width_multiplier and in_channels make them.
Likeness likeness(const TensorFile& file, const std::string& prefix, const std::string& name) {
  Likeness like{name};
  BackboneOptions options;
  options.name = name;
  options.last_conv = false;  // not every file has it
  const layers::BuildDeviceGuard shapes_alone(Device::meta);
  const auto backbone = make_backbone(options);
  for (const layers::NamedParameter& p : backbone->parameters()) {
    const Tensor* t = file.find(prefix + p.name);
    const Shape own = p.variable.shape();  // [K,R,S,C]; in files [K,C,R,S]
    const bool filter = own.rank() == 4;
    if (!t || t->rank() != own.rank() || (filter && (t->dim(2) != own[1] || t->dim(3) != own[2])))
      return {name};
    if (like.names++ == 0) like.width = static_cast<double>(t->dim(0)) / static_cast<double>(own[0]);
    like.shapes += t->numel() == p.variable.value().numel() && t->dim(0) == own[0];
  }
  return like;
}

}  // namespace

std::string recognised(const TensorFile& file) {
  Likeness best;
  for (const std::string& name : backbone_names()) {
    for (const char* prefix : feature_prefixes) {
      const Likeness like = likeness(file, prefix, name);
      if (std::pair(like.names, like.shapes) > std::pair(best.names, best.shapes)) best = like;
    }
  }
  std::vector<std::string> facts;
  const auto has = [&](const char* part) {
    return std::any_of(file.tensors.begin(), file.tensors.end(),
                       [&](const auto& t) { return t.first.find(part) != std::string::npos; });
  };
  if (best.names > 0) facts.push_back(fmt::format("backbone {}", best.backbone));
  if (best.names > 0 && best.width != 1) facts.push_back(fmt::format("width_multiplier {:g}", best.width));
  if (has("roi_heads.mask_")) {
    facts.emplace_back("the heads of a Mask R-CNN");
  } else if (has("roi_heads.")) {
    facts.emplace_back("the heads of a Faster R-CNN");
  }
  if (has("aux_classifier.")) facts.emplace_back("an auxiliary head (aux_loss)");
  return fmt::format("{}", fmt::join(facts, ", "));
}

std::string current_name(const std::string& name) {
  for (const Rule& rule : rules) {
    const std::regex old(rule.old);
    if (std::regex_match(name, old)) return std::regex_replace(name, old, rule.today);
  }
  return name;
}

namespace {

// Takes the tensors without values out of the file again, with the names that they have now.
void set_unread_aside(TensorFile& file, const std::string& wrapper, const std::vector<std::string>& before) {
  std::map<std::string, std::string> unread;
  for (size_t i = 0; i < before.size(); ++i) {
    if (!file.tensors[i].second.defined())
      unread[file.tensors[i].first] = file.unread.at(wrapper + before[i]);
  }
  file.unread = std::move(unread);
  std::erase_if(file.tensors, [](const auto& t) { return !t.second.defined(); });
}

}  // namespace

ImportReport import_weights(const Model& model, const std::string& given, const ImportOptions& options) {
  const std::string path = find_weights(options.where, given);
  ATROUS_CHECK(!options.backbone_only || model.has_backbone(), ErrorKind::config,
               "[{}] the network has no separate backbone. Got \"{}\". Use model.weights with a file of the "
               "whole network.",
               options.where, path);
  ATROUS_CHECK(std::filesystem::exists(split_weights_path(path).file), ErrorKind::checkpoint,
               "[{}] the file must exist. Got \"{}\". Check the path.", options.where, path);
  TensorFile file = read_weights(path);
  std::erase_if(file.tensors, [](const auto& t) {  // what a checkpoint holds besides the network
    return t.first.starts_with("optimizer.") || t.first.starts_with("average.");
  });
  // Tensors that are not read take part in the naming, without values.
  for (const auto& [name, reason] : file.unread) file.tensors.emplace_back(name, Tensor());
  // First the wrapper, so that the names below it are recognised.
  const std::string wrapper = layers::wrapper_prefix(file, model);
  for (auto& [name, t] : file.tensors) name.erase(0, wrapper.size());
  std::vector<std::string> before;
  for (const auto& [name, t] : file.tensors) before.push_back(name);
  Import import{fmt::format("{} {}", options.where, path), options.backbone_only, file.notes};
  rename_all(file, model, import);
  check_distinct(file, before, options.where);
  ImportReport report;
  report.notes = import.notes;
  for (size_t i = 0; i < before.size(); ++i) {
    if (before[i] != file.tensors[i].first) report.renamed.emplace_back(before[i], file.tensors[i].first);
  }
  const size_t in_file = file.tensors.size();
  const std::string first = file.tensors.empty() ? "" : before[0];
  set_unread_aside(file, wrapper, before);
  if (options.backbone_only) {
    std::erase_if(file.tensors, [&](const auto& t) { return !model.in_backbone(t.first); });
    std::erase_if(file.unread, [&](const auto& t) { return !model.in_backbone(t.first); });
  }
  report.load = load_state_dict(model, file, {.strict = false, .fold_input_channels = true});
  report.load.stripped_prefix = wrapper + report.load.stripped_prefix;
  if (options.backbone_only)
    std::erase_if(report.load.missing, [&](const std::string& n) { return !model.in_backbone(n); });
  ATROUS_CHECK(
      report.load.unreadable.empty(), ErrorKind::checkpoint,
      "[{} {}] every tensor of the network must be readable. \"{}\" is {}. Convert it to float32 before "
      "saving.",
      options.where, path, report.load.unreadable[0].first, report.load.unreadable[0].second);
  // Counters fit every network; they say nothing.
  const auto says_something = [](const std::string& name) { return !name.ends_with("num_batches_tracked"); };
  ATROUS_CHECK(std::any_of(report.load.loaded.begin(), report.load.loaded.end(), says_something),
               ErrorKind::checkpoint,
               "[{} {}] nothing in the file fits the network. Got {} tensors, the first named \"{}\". Use "
               "weights of this network or of its backbone.",
               options.where, path, in_file, first);
  layers::check_weights_finite(model, fmt::format("{} {}", options.where, path),
                               "They come from a run that diverged or a damaged file: use another.");
  return report;
}

std::string ImportReport::str() const {
  std::string s = load.str();
  if (!renamed.empty())
    s += fmt::format("\n  renamed     {}, such as {} -> {}", renamed.size(), renamed[0].first,
                     renamed[0].second);
  for (const std::string& note : notes) s += "\n  note        " + note;
  return s;
}

}  // namespace atrous::nets
