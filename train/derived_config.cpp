#include "train/derived_config.h"

#include <algorithm>
#include <optional>

#include "core/json_value.h"
#include "data/sets/sets.h"
#include "nets/factory.h"
#include "nets/file_schemes.h"
#include "train/hub_config.h"

namespace atrous::train {
namespace {

std::vector<StoredTensor> stored_tensors(const TensorFile& file) {
  std::vector<StoredTensor> all;
  for (const auto& [name, tensor] : file.tensors) {
    StoredTensor& t = all.emplace_back();
    t.name = name;
    t.shape.assign(tensor.shape().begin(), tensor.shape().end());
  }
  return all;
}

struct KnownSet {
  int64_t classes;
  const char* dataset;
};
constexpr KnownSet known_sets[] = {{19, "cityscapes"},       {21, "voc2012"}, {59, "pascal_context59"},
                                   {60, "pascal_context60"}, {150, "ade20k"}, {171, "cocostuff171"},
                                   {182, "cocostuff182"}};
// Detection models of COCO number its 90 categories as its files do; these are the first of COCO-Stuff.
constexpr int64_t coco_classes = 91;

std::vector<data::ClassInfo> table_of(const char* dataset) {
  data::DataOptions options;
  options.dataset = dataset;
  return data::class_table(options);
}

std::vector<data::ClassInfo> known_classes(const nets::ModelOptions& model, std::vector<std::string>& notes) {
  if (nets::is_classifier(model.name)) return {};
  if (nets::is_detector(model.name)) {
    if (model.num_classes != coco_classes) return {};
    std::vector<data::ClassInfo> classes = table_of("cocostuff182");
    classes.insert(classes.begin(), data::ClassInfo{"background"});
    classes.resize(coco_classes);
    notes.emplace_back("91 classes: names are assumed to be COCO's");
    return classes;
  }
  for (const KnownSet& set : known_sets) {
    if (set.classes != model.num_classes) continue;
    notes.push_back(
        fmt::format("{} classes: names and colours are assumed to be those of {}", set.classes, set.dataset));
    return table_of(set.dataset);
  }
  return {};
}

std::string model_text(const nets::ModelOptions& model) {
  const Config plain;
  Config with = plain;
  with.model = model;
  const JsonValue tree = parse_json(to_json(with), "config");
  std::string text;
  for (const std::string& key : changed_keys(plain, with)) {
    const JsonValue* value = &tree;
    for (size_t begin = 0; value && begin <= key.size();) {
      const size_t end = std::min(key.find('.', begin), key.size());
      value = value->find(key.substr(begin, end - begin));
      begin = end + 1;
    }
    if (value) text += fmt::format("{}{} {}", text.empty() ? "" : ", ", key, to_text(*value, -1));
  }
  return text;
}

}  // namespace

// What neither the weights nor a hub say of the images, for people.
void assume_images(DerivedConfig& derived) {
  data::DataOptions& data = derived.config.data;
  const nets::ModelOptions& model = derived.config.model;
  const bool lite =
      model.name.starts_with("efficientnet_lite") || model.backbone.starts_with("efficientnet_lite");
  if (lite && data.mean.empty() && data.std.empty())
    data.mean = data.std = std::vector<double>(static_cast<size_t>(model.in_channels), 0.5);
  else if (!data.mean.empty() && !data.std.empty())
    return;
  derived.notes.push_back(
      fmt::format("assumed: the images' mean and standard deviation are {} (data.mean, data.std)",
                  !lite && model.in_channels == 3 ? "ImageNet's" : "0.5"));
}

DerivedConfig derive_config(const TensorFile& file, const std::string& path,
                            const std::vector<std::string>& overrides) {
  const std::optional<JsonValue> hub = hub_config(path);
  std::optional<nets::FileNetwork> network = nets::recognise(stored_tensors(file));
  ATROUS_CHECK(
      network && network->model, ErrorKind::checkpoint,
      "[weights] \"{}\" must say which network it is for. Got a file without a config, which looks like "
      "{}. Give one with --config.",
      path,
      network ? fmt::format("{}, not a network that is known in full here", network->str())
              : std::string("no network that is known here"));
  // A sigmoid: the softmax of a single output is 1 whatever the image shows.
  ATROUS_CHECK(
      network->classes != 1, ErrorKind::checkpoint,
      "[weights] \"{}\" must be for two classes or more: networks here have an output per class, the "
      "background included. Got {} with one output. Train it with two.",
      path, network->program);
  DerivedConfig derived;
  const std::vector<std::string> names =
      hub ? apply_hub(*hub, *network, derived.config, derived.notes) : std::vector<std::string>();
  derived.config.model = *network->model;
  assume_images(derived);
  if (nets::is_classifier(network->model->name) && derived.config.eval.crop == eval::InferenceOptions().crop)
    derived.notes.push_back(
        fmt::format("assumed: images are resized to {} and cropped to {} (eval.short_side, eval.crop)",
                    derived.config.eval.short_side, derived.config.eval.crop));
  derived.config = parse_config(to_json(derived.config), path, overrides, ConfigFrom::run);
  derived.notes.insert(derived.notes.begin(), fmt::format("{}: {}; the config is derived: {}", path,
                                                          network->str(), model_text(derived.config.model)));
  for (const std::string& line : network->assumptions) derived.notes.push_back("assumed: " + line);
  if (names.empty()) derived.classes = known_classes(derived.config.model, derived.notes);
  for (size_t k = 0; k < names.size(); ++k)
    derived.classes.push_back({names[k], data::default_color(static_cast<int64_t>(k))});
  if (derived.classes.empty() && !nets::is_classifier(derived.config.model.name))
    derived.notes.push_back(
        fmt::format("names of the {} classes are unknown: they are numbered (data.class_names)",
                    derived.config.model.num_classes));
  return derived;
}

}  // namespace atrous::train
