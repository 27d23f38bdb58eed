#include "train/derived_config.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>

#include "core/json_value.h"
#include "core/weights_file.h"
#include "data/sets/sets.h"
#include "nets/factory.h"
#include "nets/file_schemes.h"

namespace atrous::train {
namespace {

namespace fs = std::filesystem;

std::vector<StoredTensor> stored_tensors(const TensorFile& file) {
  std::vector<StoredTensor> all;
  for (const auto& [name, tensor] : file.tensors) {
    StoredTensor& t = all.emplace_back();
    t.name = name;
    t.shape.assign(tensor.shape().begin(), tensor.shape().end());
  }
  return all;
}

// The hub's config beside the weights, if there is one. That of a run tells more than names and shapes: it is
// not to be guessed.
std::optional<JsonValue> hub_config(const std::string& path) {
  const std::string place = config_beside(path);
  if (place.empty()) return std::nullopt;
  std::ifstream in(place, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  JsonValue json = parse_json(text.str(), place);
  ATROUS_CHECK(
      json.kind != JsonValue::Kind::object || !json.find("model"), ErrorKind::checkpoint,
      "[weights] \"{}\" must say which network it is for. Got a file without a config. Give one with "
      "--config, such as {}.",
      path, place);
  const bool hub = json.kind == JsonValue::Kind::object &&
                   (json.find("encoder_name") || json.find("architecture") || json.find("architectures"));
  return hub ? std::optional(std::move(json)) : std::nullopt;
}

// A number of the hub's config that must be what the weights have.
void check_same(const JsonValue& hub, const char* key, int64_t in_weights) {
  const JsonValue* value = hub.find(key);
  if (!value || value->kind != JsonValue::Kind::integer) return;
  ATROUS_CHECK(
      value->integer == in_weights, ErrorKind::checkpoint,
      "[{}] \"{}\" must fit the weights beside it, which have {}. Got {}. The files are of different "
      "networks: give --config.",
      value->where, key, in_weights, value->integer);
}

// A choice of the hub's config that atrous has in one form only.
void check_text(const JsonValue& hub, const char* key, const char* only) {
  const JsonValue* value = hub.find(key);
  if (!value || value->kind != JsonValue::Kind::string || value->string == only) return;
  fail(ErrorKind::checkpoint,
       "[{}] \"{}\" must be \"{}\": other forms of this network do not exist here. Got \"{}\".", value->where,
       key, only, value->string);
}

// Of segmentation_models_pytorch's `save_pretrained`.
void apply_smp(const JsonValue& hub, nets::FileNetwork& network) {
  nets::ModelOptions& model = *network.model;
  check_same(hub, "classes", network.classes);
  check_same(hub, "in_channels", model.in_channels);
  check_text(hub, "decoder_interpolation", "nearest");
  if (const JsonValue* rates = hub.find("decoder_atrous_rates"); rates && model.name == "deeplabv3plus") {
    for (const JsonValue& rate : rates->array) model.rates.push_back(rate.integer);
  }
  if (const JsonValue* depth = hub.find("encoder_depth"); depth && model.name == "pspnet") {
    model.output_stride = int64_t{1} << std::clamp<int64_t>(depth->integer, 0, 5);
    network.assumptions.clear();
  }
  if (const JsonValue* stride = hub.find("encoder_output_stride");
      stride && stride->kind == JsonValue::Kind::integer) {
    model.output_stride = stride->integer;
    network.assumptions.clear();
  }
}

void take_numbers(const JsonValue& from, const char* key, std::vector<double>& to) {
  const JsonValue* list = from.find(key);
  if (!list || list->kind != JsonValue::Kind::array) return;
  to.clear();
  for (const JsonValue& v : list->array) {
    if (v.is_number()) to.push_back(v.number);
  }
}

// Names by class, of transformers ("id2label": {"0": "wall"}) or timm ("label_names": ["tench"]).
std::vector<std::string> names_in(const JsonValue& hub, int64_t classes) {
  std::vector<std::string> names;
  if (const JsonValue* labels = hub.find("id2label")) {
    for (int64_t k = 0; k < classes; ++k) {
      const JsonValue* name = labels->find(std::to_string(k));
      if (!name || name->kind != JsonValue::Kind::string) return {};
      names.push_back(name->string);
    }
    return names;
  }
  for (const char* key : {"label_names", "class_names"}) {
    const JsonValue* list = hub.find(key);
    if (!list || list->kind != JsonValue::Kind::array || static_cast<int64_t>(list->array.size()) != classes)
      continue;
    for (const JsonValue& name : list->array) names.push_back(name.string);
    return names;
  }
  return {};
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

std::string config_beside(const std::string& weights) {
  const fs::path folder = fs::path(split_weights_path(weights).file).parent_path();
  for (const fs::path& place : {folder / "config.json", folder.parent_path() / "config.json"}) {
    std::error_code unknown;
    if (fs::is_regular_file(place, unknown)) return place.string();
  }
  return "";
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
  DerivedConfig derived;
  std::vector<std::string> names;
  if (hub) {
    if (hub->find("encoder_name")) apply_smp(*hub, *network);
    const JsonValue* timm = hub->find("pretrained_cfg");
    const JsonValue& facts = timm ? *timm : *hub;
    take_numbers(facts, "mean", derived.config.data.mean);
    take_numbers(facts, "std", derived.config.data.std);
    names = names_in(facts, network->classes);
    if (names.empty()) names = names_in(*hub, network->classes);
  }
  derived.config.model = *network->model;
  derived.config = parse_config(to_json(derived.config), path, overrides, ConfigFrom::run);
  derived.notes.push_back(fmt::format("{}: {}; the config is derived: {}", path, network->str(),
                                      model_text(derived.config.model)));
  for (const std::string& line : network->assumptions) derived.notes.push_back("assumed: " + line);
  if (derived.config.data.mean.empty())
    derived.notes.push_back(
        fmt::format("assumed: the images' mean and standard deviation are {} (data.mean, data.std)",
                    derived.config.model.in_channels == 3 ? "ImageNet's" : "0.5"));
  if (names.empty()) {
    derived.classes = known_classes(derived.config.model, derived.notes);
    if (derived.classes.empty())
      derived.notes.push_back(
          fmt::format("names of the {} classes are unknown: they are numbered (data.class_names)",
                      derived.config.model.num_classes));
  }
  for (size_t k = 0; k < names.size(); ++k)
    derived.classes.push_back({names[k], data::default_color(static_cast<int64_t>(k))});
  return derived;
}

}  // namespace atrous::train
