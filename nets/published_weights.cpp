#include "nets/published_weights.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <filesystem>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "core/env.h"
#include "core/error.h"
#include "core/terminal.h"
#include "core/text.h"
#include "core/weights_file.h"

namespace atrous::nets {
namespace {

namespace fs = std::filesystem;

constexpr const char* torchvision = "https://download.pytorch.org/models/";
constexpr const char* timm =
    "https://github.com/rwightman/pytorch-image-models/releases/download/v0.1-weights/";

// The eight digits before the extension are the beginning of the file's SHA-256. Where there are several
// files for a network, the first one here is that of the paper's recipe.
struct Published {
  const char* name;
  const char* folder;
  const char* file;
  const char* needs = "";  // options that differ from a network's defaults
};
constexpr const char* lite = "data.mean and data.std of 0.5";
constexpr Published published[] = {
    {"resnet18", torchvision, "resnet18-f37072fd.pth"},
    {"resnet34", torchvision, "resnet34-b627a593.pth"},
    {"resnet50", torchvision, "resnet50-0676ba61.pth"},
    {"resnet101", torchvision, "resnet101-63fe2227.pth"},
    {"resnet152", torchvision, "resnet152-394f9c45.pth"},
    {"resnext50_32x4d", torchvision, "resnext50_32x4d-7cdf4587.pth"},
    {"resnext101_32x8d", torchvision, "resnext101_32x8d-8ba56ff5.pth"},
    {"vgg16", torchvision, "vgg16-397923af.pth"},
    {"vgg16_bn", torchvision, "vgg16_bn-6c64b313.pth"},
    {"vgg19", torchvision, "vgg19-dcbb9e9d.pth"},
    {"vgg19_bn", torchvision, "vgg19_bn-c79401a0.pth"},
    {"mobilenet_v2", torchvision, "mobilenet_v2-b0353104.pth"},
    {"mobilenet_v3_large", torchvision, "mobilenet_v3_large-8738ca79.pth"},
    {"mobilenet_v3_small", torchvision, "mobilenet_v3_small-047dcff4.pth"},
    {"alexnet", torchvision, "alexnet-owt-7be5be79.pth"},
    {"googlenet", torchvision, "googlenet-1378be20.pth", "model.transform_input and model.aux_loss"},
    {"inception_v3", torchvision, "inception_v3_google-0cc3c7bd.pth",
     "model.transform_input and model.aux_loss"},
    {"efficientnet_b0", torchvision, "efficientnet_b0_rwightman-7f5810bc.pth",
     "model.conv_padding symmetric and model.norm_eps 1e-5"},
    {"efficientnet_b1", torchvision, "efficientnet_b1_rwightman-bac287d4.pth",
     "model.conv_padding symmetric and model.norm_eps 1e-5"},
    {"efficientnet_b2", torchvision, "efficientnet_b2_rwightman-c35c1473.pth",
     "model.conv_padding symmetric and model.norm_eps 1e-5"},
    {"efficientnet_b3", torchvision, "efficientnet_b3_rwightman-b3899882.pth",
     "model.conv_padding symmetric and model.norm_eps 1e-5"},
    {"efficientnet_b4", torchvision, "efficientnet_b4_rwightman-23ab8bcd.pth",
     "model.conv_padding symmetric and model.norm_eps 1e-5"},
    {"efficientnet_b5", torchvision, "efficientnet_b5_lukemelas-1a07897c.pth",
     "model.conv_padding symmetric"},
    {"efficientnet_b6", torchvision, "efficientnet_b6_lukemelas-24a108a5.pth",
     "model.conv_padding symmetric"},
    {"efficientnet_b7", torchvision, "efficientnet_b7_lukemelas-c5b4e57e.pth",
     "model.conv_padding symmetric"},
    {"tf_efficientnet_lite0", timm, "tf_efficientnet_lite0-0aa007d2.pth", lite},
    {"tf_efficientnet_lite1", timm, "tf_efficientnet_lite1-bde8b488.pth", lite},
    {"tf_efficientnet_lite2", timm, "tf_efficientnet_lite2-dcccb7df.pth", lite},
    {"tf_efficientnet_lite3", timm, "tf_efficientnet_lite3-b733e338.pth", lite},
    {"tf_efficientnet_lite4", timm, "tf_efficientnet_lite4-741542c3.pth", lite},
    {"efficientnet_lite0", timm, "tf_efficientnet_lite0-0aa007d2.pth", lite},
    {"efficientnet_lite1", timm, "tf_efficientnet_lite1-bde8b488.pth", lite},
    {"efficientnet_lite2", timm, "tf_efficientnet_lite2-dcccb7df.pth", lite},
    {"efficientnet_lite3", timm, "tf_efficientnet_lite3-b733e338.pth", lite},
    {"efficientnet_lite4", timm, "tf_efficientnet_lite4-741542c3.pth", lite},
    {"fcn_resnet50", torchvision, "fcn_resnet50_coco-1167a1af.pth"},
    {"fcn_resnet101", torchvision, "fcn_resnet101_coco-7ecb50ca.pth"},
    {"deeplabv3_resnet50", torchvision, "deeplabv3_resnet50_coco-cd0a2569.pth"},
    {"deeplabv3_resnet101", torchvision, "deeplabv3_resnet101_coco-586e9e4e.pth"},
    {"deeplabv3_mobilenet_v3_large", torchvision, "deeplabv3_mobilenet_v3_large-fc3c493d.pth"},
    {"lraspp_mobilenet_v3_large", torchvision, "lraspp_mobilenet_v3_large-d234d4ea.pth"},
    {"fasterrcnn_resnet50_fpn", torchvision, "fasterrcnn_resnet50_fpn_coco-258fb6c6.pth",
     "model.norm frozen and model.detection.backbone_norm_eps 0"},
    {"fasterrcnn_resnet50_fpn_v2", torchvision, "fasterrcnn_resnet50_fpn_v2_coco-dd69338a.pth"},
    {"maskrcnn_resnet50_fpn", torchvision, "maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth",
     "model.norm frozen and model.detection.backbone_norm_eps 0"},
    {"maskrcnn_resnet50_fpn_v2", torchvision, "maskrcnn_resnet50_fpn_v2_coco-73cbd019.pth"},
};

constexpr const char* extensions[] = {".safetensors", ".pth", ".pt", ".bin"};

bool has_extension(const fs::path& file) {
  return std::ranges::any_of(extensions, [&](const char* e) { return file.extension() == e; });
}

// The longest name of a published network with which a file's name begins.
std::string_view network_of(std::string_view file) {
  std::string_view longest;
  for (const Published& p : published) {
    if (file.starts_with(p.name) && std::string_view(p.name).size() > longest.size()) longest = p.name;
  }
  return longest;
}

// "resnet50_fpn" is no "resnet5", and no file of "vgg16" is one of "vgg16_bn". Files of TensorFlow's weights
// may begin with "tf_".
bool belongs(std::string_view file, std::string_view name) {
  if (file.starts_with("tf_") && !name.starts_with("tf_")) file.remove_prefix(3);
  if (!file.starts_with(name) || std::isalnum(static_cast<unsigned char>(file[name.size()]))) return false;
  const std::string_view network = network_of(file);
  return network.empty() || network == name || !network.starts_with(name);
}

std::vector<std::string> matches_in(const std::string& folder, const std::string& name) {
  std::vector<std::string> found;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, error)) {
    const fs::path& file = entry.path();
    if (has_extension(file) && belongs(file.filename().string(), name)) found.push_back(file.string());
  }
  std::ranges::sort(found);
  return found;
}

std::vector<std::string> folders() {
  std::vector<std::string> all;
  if (const std::string set = env::weights(); !set.empty()) all.push_back(set);
  if (const char* home = std::getenv("HOME"); home && *home)
    all.push_back(std::string(home) + "/.cache/atrous");
  return all;
}

[[noreturn]] void fail_missing(const std::string& where, const std::string& name) {
  const std::vector<std::string> places = folders();
  const std::string place = places.empty() ? "the folder ATROUS_WEIGHTS" : places.front();
  std::string advice;
  std::vector<std::string> names;
  for (const Published& p : published) {
    names.emplace_back(p.name);
    if (name != p.name) continue;
    const std::string_view file = p.file;
    advice = fmt::format("Download {}{} into {} (`sha256sum` must begin with {})", p.folder, file, place,
                         file.substr(file.rfind('-') + 1, 8));
    if (*p.needs) advice += fmt::format("; it needs {}", p.needs);
  }
  if (advice.empty()) {
    const std::string nearest = nearest_word(name, names);
    advice = fmt::format("Put {}.safetensors or {}.pth there, or give the path of a file", name, name);
    if (!nearest.empty()) advice = fmt::format("Did you mean \"{}\"? {}", nearest, advice);
  }
  fail(ErrorKind::checkpoint,
       "[{}] weights must be a file, or the beginning of the name of one (.safetensors, .pth, .pt, .bin) in "
       "{}. "
       "Got \"{}\", and there is none. {}.",
       where, places.empty() ? place : fmt::format("{}", fmt::join(places, " or ")), name, advice);
}

}  // namespace

std::string find_weights(const std::string& where, const std::string& path) {
  std::error_code error;
  const WeightsPath parts = split_weights_path(path);
  const std::string& name = parts.file;
  if (name.empty() || name.find('/') != std::string::npos || has_extension(name) || fs::exists(name, error))
    return path;
  for (const std::string& folder : folders()) {
    const std::vector<std::string> found = matches_in(folder, name);
    ATROUS_CHECK(found.size() <= 1, ErrorKind::checkpoint,
                 "[{}] a name must belong to one file. Got \"{}\" for {}. Give the path of one of them.",
                 where, name, fmt::join(found, " and "));
    if (found.empty()) continue;
    print_to(stderr, "note: {}: \"{}\" is {}\n", where, name, found[0]);
    return parts.name.empty() ? found[0] : found[0] + "#" + parts.name;
  }
  fail_missing(where, name);
}

}  // namespace atrous::nets
