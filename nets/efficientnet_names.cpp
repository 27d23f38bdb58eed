#include "nets/efficientnet_names.h"

#include <algorithm>
#include <array>
#include <string_view>

#include <fmt/format.h>

namespace atrous::nets {
namespace {

// The beginning of a name, and what stands in its place here. In the first stage, where nothing is widened,
// blocks have other names than behind it.
struct Part {
  std::string_view theirs, own;
};

constexpr Part torchvision_top[] = {
    {"features.0.0.", "conv_stem."}, {"features.0.1.", "bn1."},        {"features.8.0.", "conv_head."},
    {"features.8.1.", "bn2."},       {"classifier.1.", "classifier."},
};
constexpr Part torchvision_first[] = {
    {"block.0.0.", "conv_dw."},          {"block.0.1.", "bn1."},     {"block.1.fc1.", "se.conv_reduce."},
    {"block.1.fc2.", "se.conv_expand."}, {"block.2.0.", "conv_pw."}, {"block.2.1.", "bn2."},
};
constexpr Part torchvision_wide[] = {
    {"block.0.0.", "conv_pw."},          {"block.0.1.", "bn1."},
    {"block.1.0.", "conv_dw."},          {"block.1.1.", "bn2."},
    {"block.2.fc1.", "se.conv_reduce."}, {"block.2.fc2.", "se.conv_expand."},
    {"block.3.0.", "conv_pwl."},         {"block.3.1.", "bn3."},
};
constexpr Part pytorch_top[] = {
    {"_conv_stem.", "conv_stem."}, {"_bn0.", "bn1."}, {"_conv_head.", "conv_head."}, {"_bn1.", "bn2."},
    {"_fc.", "classifier."},
};
constexpr Part pytorch_first[] = {
    {"_depthwise_conv.", "conv_dw."},   {"_bn1.", "bn1."},
    {"_se_reduce.", "se.conv_reduce."}, {"_se_expand.", "se.conv_expand."},
    {"_project_conv.", "conv_pw."},     {"_bn2.", "bn2."},
};
constexpr Part pytorch_wide[] = {
    {"_expand_conv.", "conv_pw."},      {"_bn0.", "bn1."},
    {"_depthwise_conv.", "conv_dw."},   {"_bn1.", "bn2."},
    {"_se_reduce.", "se.conv_reduce."}, {"_se_expand.", "se.conv_expand."},
    {"_project_conv.", "conv_pwl."},    {"_bn2.", "bn3."},
};

// "" if no part begins the name.
template <size_t N>
std::string translated(const Part (&parts)[N], std::string_view name) {
  for (const Part& p : parts) {
    if (name.starts_with(p.theirs)) return std::string(p.own) + std::string(name.substr(p.theirs.size()));
  }
  return "";
}

// The number that a name begins with, and the dot behind it, which are cut off; -1 if it begins otherwise.
int64_t take_number(std::string_view& name) {
  int64_t number = 0;
  size_t digits = 0;
  for (; digits < name.size() && digits < 4 && name[digits] >= '0' && name[digits] <= '9'; ++digits)
    number = 10 * number + (name[digits] - '0');
  if (digits == 0 || digits >= name.size() || name[digits] != '.') return -1;
  name.remove_prefix(digits + 1);
  return number;
}

std::string own_block(int64_t stage, int64_t block, const std::string& part) {
  return part.empty() ? "" : fmt::format("blocks.{}.{}.{}", stage, block, part);
}

std::string from_torchvision(std::string_view name) {
  if (const std::string top = translated(torchvision_top, name); !top.empty()) return top;
  constexpr std::string_view features = "features.";
  if (!name.starts_with(features)) return "";
  name.remove_prefix(features.size());
  const int64_t stage = take_number(name), block = take_number(name);
  if (stage < 1 || block < 0) return "";
  return own_block(stage - 1, block,
                   stage == 1 ? translated(torchvision_first, name) : translated(torchvision_wide, name));
}

struct Place {
  int64_t stage, block;
};

// Where each block of efficientnet-pytorch's one list stands: a stage ends where the channels change.
std::vector<Place> places(const RowCounts& file, const std::string& prefix) {
  std::vector<Place> result;
  int64_t channels = 0;
  for (;;) {
    const auto project = file.find(fmt::format("{}_blocks.{}._project_conv.weight", prefix, result.size()));
    if (project == file.end() || project->second <= 0) return result;
    const bool begins = project->second != channels;
    channels = project->second;
    if (result.empty()) {
      result.push_back({0, 0});
    } else if (begins) {
      result.push_back({result.back().stage + 1, 0});
    } else {
      result.push_back({result.back().stage, result.back().block + 1});
    }
  }
}

std::string from_pytorch(std::string_view name, const std::vector<Place>& places) {
  constexpr std::string_view blocks = "_blocks.";
  if (!name.starts_with(blocks)) return translated(pytorch_top, name);
  name.remove_prefix(blocks.size());
  const int64_t index = take_number(name);
  if (index < 0 || index >= static_cast<int64_t>(places.size())) return "";
  const auto [stage, block] = places[static_cast<size_t>(index)];
  return own_block(stage, block,
                   stage == 0 ? translated(pytorch_first, name) : translated(pytorch_wide, name));
}

std::string from_timm(std::string_view name) {
  return std::string(name);
}

template <class Translate>
std::map<std::string, std::string> all_names(const RowCounts& file, const std::string& prefix,
                                             const Translate& translate) {
  std::map<std::string, std::string> names;
  for (const auto& [name, rows] : file) {
    if (!name.starts_with(prefix)) continue;
    const std::string own = translate(std::string_view(name).substr(prefix.size()));
    if (!own.empty()) names[name] = own;
  }
  return names;
}

// Null if no form has those blocks and channels.
const EfficientNetForm* form_of(const EfficientNetNames& names, const RowCounts& file) {
  RowCounts own;
  for (const auto& [theirs, name] : names.own) own[name] = file.at(theirs);
  std::vector<int64_t> repeats(7);
  for (size_t s = 0; s < repeats.size(); ++s) {
    while (own.contains(fmt::format("blocks.{}.{}.conv_dw.weight", s, repeats[s]))) ++repeats[s];
  }
  const bool lite = !own.contains("blocks.1.0.se.conv_reduce.weight");
  const auto last = own.find("blocks.6.0.conv_pwl.weight");
  if (last == own.end()) return nullptr;
  const auto forms = efficientnet_forms();
  const auto form = std::ranges::find_if(forms, [&](const EfficientNetForm& f) {
    return f.lite == lite && f.repeats() == repeats && f.channels(320) == last->second;
  });
  return form == forms.end() ? nullptr : &*form;
}

// torchvision took its larger sizes from TensorFlow's weights.
double torchvision_eps(const EfficientNetForm* form) {
  const std::string_view name = form ? form->name : "";
  return name == "efficientnet_b5" || name == "efficientnet_b6" || name == "efficientnet_b7" ? 1e-3 : 1e-5;
}

}  // namespace

std::string EfficientNetNames::in_file(const std::string& name) const {
  const auto found = std::ranges::find_if(own, [&](const auto& pair) { return pair.second == name; });
  return found == own.end() ? "" : found->first;
}

std::optional<EfficientNetNames> efficientnet_names(const RowCounts& file, const std::string& prefix) {
  const auto has = [&](const char* name) { return file.contains(prefix + name); };
  EfficientNetNames names{"timm"};
  if (has("features.1.0.block.0.0.weight") && has("features.8.0.weight")) {
    names.program = "torchvision";
    names.own = all_names(file, prefix, from_torchvision);
    names.form = form_of(names, file);
    names.padding = ConvPadding::symmetric;
    names.eps = torchvision_eps(names.form);
  } else if (has("_conv_stem.weight") && has("_blocks.0._depthwise_conv.weight")) {
    names.program = "efficientnet-pytorch";
    const std::vector<Place> blocks = places(file, prefix);
    names.own = all_names(file, prefix, [&](std::string_view name) { return from_pytorch(name, blocks); });
    names.form = form_of(names, file);
    names.padding = ConvPadding::tensorflow;
    names.eps = 1e-3;
  } else if (has("conv_stem.weight") && has("blocks.0.0.conv_dw.weight")) {
    names.own = all_names(file, prefix, from_timm);
    names.form = form_of(names, file);
  } else {
    return std::nullopt;
  }
  return names;
}

}  // namespace atrous::nets
