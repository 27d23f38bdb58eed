#include "nets/start_weights.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <map>

#include "layers/state_dict.h"

namespace atrous::nets {

using layers::SegmentationModel;

namespace {

// VGG16's fully connected layers are FCN's and DeepLab's fc6 and fc7 (Long et al., section 3.1): the same
// numbers, as filters.
void adopt_fully_connected(TensorFile& file, const std::map<std::string, Shape>& wanted) {
  if (!wanted.contains("fc6.weight")) return;
  for (auto& [name, t] : file.tensors) {
    if (name == "classifier.0.weight" && t.shape() == Shape{4096, 512 * 7 * 7})
      t = t.reshape({4096, 512, 7, 7});
    if (name == "classifier.3.weight" && t.shape() == Shape{4096, 4096}) t = t.reshape({4096, 4096, 1, 1});
    if (name.starts_with("classifier.0.")) name = "fc6." + name.substr(13);
    if (name.starts_with("classifier.3.")) name = "fc7." + name.substr(13);
  }
}

// Where files keep the features of a network: classification networks at the top or under "features.",
// segmentation and detection networks under a name of their own.
constexpr const char* feature_prefixes[] = {"", "features.", "backbone.", "encoder.", "backbone.body."};

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

// What a file holds of a network, under the names that the model (of the shapes `wanted`) gives it.
struct Candidate {
  TensorFile file;
  std::string wrapper;
};
Candidate read_candidate(const SegmentationModel& model, const std::string& path, const char* key,
                         const std::map<std::string, Shape>& wanted) {
  ATROUS_CHECK(std::filesystem::exists(path), ErrorKind::checkpoint,
               "[{}] the file must exist. Got \"{}\". Check the path.", key, path);
  Candidate c{read_safetensors(path), {}};
  std::erase_if(c.file.tensors, [](const auto& t) {  // what a checkpoint holds besides the network
    return t.first.starts_with("optimizer.") || t.first.starts_with("average.");
  });
  // First the wrapper, so that the names below it are recognised.
  c.wrapper = layers::wrapper_prefix(c.file, model);
  for (auto& [name, t] : c.file.tensors) name.erase(0, c.wrapper.size());
  adopt_fully_connected(c.file, wanted);
  const std::string own = model.backbone_prefix(), theirs = backbone_prefix_in(c.file, own, wanted);
  if (theirs != own) {
    for (auto& [name, t] : c.file.tensors) {
      if (name.starts_with(theirs) && wanted.contains(own + name.substr(theirs.size())))
        name = own + name.substr(theirs.size());
    }
  }
  return c;
}

std::map<std::string, Shape> shapes_of(const SegmentationModel& model) {
  std::map<std::string, Shape> shapes;
  model.visit([&](const std::string& name, const Variable* parameter, const Tensor* buffer) {
    shapes[name] = parameter ? parameter->value().shape() : buffer->shape();
  });
  return shapes;
}

void load_and_report(const SegmentationModel& model, const Candidate& c, const std::string& path,
                     const char* key, const std::string& only) {
  layers::LoadReport report = load_state_dict(model, c.file, {.strict = false, .fold_input_channels = true});
  report.stripped_prefix = c.wrapper + report.stripped_prefix;
  std::erase_if(report.missing, [&](const std::string& name) { return !name.starts_with(only); });
  std::fprintf(stderr, "weights from %s\n%s\n", path.c_str(), report.str().c_str());
  // Counters fit every network; they say nothing.
  const bool useful = std::any_of(report.loaded.begin(), report.loaded.end(), [](const std::string& name) {
    return !name.ends_with("num_batches_tracked");
  });
  ATROUS_CHECK(useful, ErrorKind::checkpoint,
               "[{} {}] nothing in the file fits the network. Got {} tensors, the first named \"{}\". Use "
               "weights of this "
               "network or of its backbone.",
               key, path, c.file.tensors.size(), c.file.tensors.empty() ? "" : c.file.tensors[0].first);
}

}  // namespace

void load_start_weights(const SegmentationModel& model, const std::string& path) {
  load_and_report(model, read_candidate(model, path, "model.weights", shapes_of(model)), path,
                  "model.weights", "");
}

void load_backbone_weights(const SegmentationModel& model, const std::string& path) {
  const std::string own = model.backbone_prefix();
  ATROUS_CHECK(!own.empty(), ErrorKind::config,
               "[model.weights.backbone] the network has no backbone. Got \"{}\". Use model.weights.", path);
  Candidate c = read_candidate(model, path, "model.weights.backbone", shapes_of(model));
  std::erase_if(c.file.tensors, [&](const auto& t) { return !t.first.starts_with(own); });
  load_and_report(model, c, path, "model.weights.backbone", own);
}

}  // namespace atrous::nets
