#include "train/hub_config.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "core/error.h"
#include "core/weights_file.h"
#include "nets/factory.h"

namespace atrous::train {
namespace {

namespace fs = std::filesystem;
using Kind = JsonValue::Kind;

std::array<fs::path, 2> places_of(const std::string& weights) {
  const fs::path folder = fs::path(split_weights_path(weights).file).parent_path();
  return {folder / "config.json", (folder.empty() ? fs::path("..") : folder.parent_path()) / "config.json"};
}

JsonValue read_json(const fs::path& place) {
  std::ifstream in(place, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  return parse_json(text.str(), place.string());
}

[[noreturn]] void contradict(const JsonValue& value, const char* key, const std::string& in_weights) {
  fail(ErrorKind::checkpoint,
       "[{}] \"{}\" must fit the weights beside it, which have {}. Got {}. The files are of different "
       "networks: "
       "give --config.",
       value.where, key, in_weights, value.describe());
}

void check_number(const JsonValue& hub, const char* key, int64_t in_weights) {
  const JsonValue* value = hub.find(key);
  if (value && value->kind == Kind::integer && value->integer != in_weights)
    contradict(*value, key, std::to_string(in_weights));
}

// A name of another program as ours: "timm-efficientnet-b0" and "tf_efficientnet_b0" are efficientnet_b0.
std::string our_name(std::string name) {
  std::ranges::replace(name, '-', '_');
  for (const std::string_view prefix : {"timm_", "tu_", "tf_"}) {
    if (name.starts_with(prefix)) name.erase(0, prefix.size());
  }
  if (name.starts_with("mobilenetv3_large")) return "mobilenet_v3_large";
  if (name.starts_with("mobilenetv3_small")) return "mobilenet_v3_small";
  return name;
}

void check_name(const JsonValue& hub, const char* key, const std::string& in_weights) {
  const JsonValue* value = hub.find(key);
  if (value && value->kind == Kind::string && our_name(value->string) != in_weights)
    contradict(*value, key, in_weights);
}

// A choice that atrous has in one form only.
void check_form(const JsonValue& hub, const char* key, const char* only) {
  const JsonValue* value = hub.find(key);
  if (!value || value->kind != Kind::string || value->string == only) return;
  fail(ErrorKind::checkpoint,
       "[{}] \"{}\" must be \"{}\": other forms of this network do not exist here. Got \"{}\".", value->where,
       key, only, value->string);
}

int64_t whole_in(const JsonValue& value, const char* key, int64_t low, int64_t high) {
  ATROUS_CHECK(value.kind == Kind::integer && value.integer >= low && value.integer <= high,
               ErrorKind::checkpoint, "[{}] \"{}\" must be a whole number from {} to {}. Got {}.",
               value.where, key, low, high, value.describe());
  return value.integer;
}

void apply_smp(const JsonValue& hub, nets::FileNetwork& network) {
  nets::ModelOptions& model = *network.model;
  constexpr std::array<std::pair<const char*, const char*>, 4> classes{{{"Unet", "unet"},
                                                                        {"DeepLabV3", "deeplabv3"},
                                                                        {"DeepLabV3Plus", "deeplabv3plus"},
                                                                        {"PSPNet", "pspnet"}}};
  if (const JsonValue* kind = hub.find("_model_class"); kind && kind->kind == Kind::string) {
    const auto known = std::ranges::find(classes, kind->string, [](const auto& c) { return c.first; });
    if (known == classes.end() || known->second != model.name) contradict(*kind, "_model_class", model.name);
  }
  check_name(hub, "encoder_name", network.backbone);
  check_number(hub, "classes", network.classes);
  check_number(hub, "in_channels", model.in_channels);
  check_form(hub, "decoder_interpolation", "nearest");
  const auto stride = [&](int64_t value) {
    model.output_stride = value;
    std::erase_if(network.assumptions,
                  [](const std::string& line) { return line.find("output stride") != std::string::npos; });
  };
  const bool dilated = model.name == "deeplabv3plus" || model.name == "deeplabv3";
  if (const JsonValue* rates = hub.find("decoder_atrous_rates"); rates && dilated) {
    ATROUS_CHECK(rates->kind == Kind::array && !rates->array.empty(), ErrorKind::checkpoint,
                 "[{}] \"decoder_atrous_rates\" must be a list of rates. Got {}.", rates->where,
                 rates->describe());
    for (const JsonValue& rate : rates->array)
      model.rates.push_back(whole_in(rate, "decoder_atrous_rates", 1, 65536));
  }
  if (const JsonValue* depth = hub.find("encoder_depth"); depth && model.name == "pspnet")
    stride(int64_t{1} << whole_in(*depth, "encoder_depth", 3, 5));
  if (const JsonValue* value = hub.find("encoder_output_stride"); value && dilated)
    stride(whole_in(*value, "encoder_output_stride", 8, 32));
}

// Positive or any numbers, one per channel of the image; empty if the key is not there.
std::vector<double> numbers_in(const JsonValue& from, const char* key, int64_t channels, bool positive) {
  const JsonValue* list = from.find(key);
  if (!list) return {};
  std::vector<double> numbers;
  for (const JsonValue& v : list->array) {
    if (v.is_number() && (!positive || v.number > 0)) numbers.push_back(v.number);
  }
  ATROUS_CHECK(numbers.size() == list->array.size() && static_cast<int64_t>(numbers.size()) == channels,
               ErrorKind::checkpoint, "[{}] \"{}\" must be {} {}numbers, one per channel. Got {}.",
               list->where, key, channels, positive ? "positive " : "", to_text(*list, -1));
  return numbers;
}

// The size of the image that a classifier of timm sees, and of the part of which it is the centre.
void apply_view(const JsonValue& facts, Config& config) {
  const JsonValue* size = facts.find("input_size");
  if (!size || size->array.size() != 3 || size->array[1].kind != Kind::integer) return;
  config.eval.crop = whole_in(size->array[1], "input_size", 1, 65536);
  const JsonValue* part = facts.find("crop_pct");
  const double fraction = part && part->is_number() && part->number > 0 ? std::min(1.0, part->number) : 0.875;
  config.eval.short_side = static_cast<int64_t>(std::floor(static_cast<double>(config.eval.crop) / fraction));
}

void apply_timm(const JsonValue& hub, const JsonValue& facts, nets::FileNetwork& network, Config& config) {
  nets::ModelOptions& model = *network.model;
  check_number(hub, "num_classes", network.classes);
  if (!nets::is_classifier(model.name)) return;
  check_name(hub, "architecture", model.name);
  apply_view(facts, config);
  const JsonValue* architecture = hub.find("architecture");
  if (!architecture || !model.name.starts_with("efficientnet")) return;
  const bool tensorflow = architecture->string.starts_with("tf_");
  model.conv_padding = tensorflow ? nets::ConvPadding::tensorflow : nets::ConvPadding::symmetric;
  model.norm_eps = tensorflow ? 1e-3 : 1e-5;
  std::erase_if(network.assumptions,
                [](const std::string& line) { return line.find("conv_padding") != std::string::npos; });
}

const std::string& name_in(const JsonValue& name) {
  const bool printable =
      std::ranges::none_of(name.string, [](unsigned char c) { return c < 0x20 || c == 0x7f; });
  ATROUS_CHECK(name.kind == Kind::string && printable && !name.string.empty(), ErrorKind::checkpoint,
               "[{}] the name of a class must be printable text. Got {}.", name.where,
               name.kind == Kind::string ? "control characters or none" : name.describe());
  return name.string;
}

// Names by class, of transformers ("id2label": {"0": "wall"}) or timm ("label_names": ["tench"]).
std::vector<std::string> names_in(const JsonValue& hub, int64_t classes) {
  std::vector<std::string> names;
  if (const JsonValue* labels = hub.find("id2label")) {
    for (int64_t k = 0; k < classes; ++k) {
      const JsonValue* name = labels->find(std::to_string(k));
      if (!name) contradict(*labels, "id2label", fmt::format("{} classes", classes));
      names.push_back(name_in(*name));
    }
    return names;
  }
  for (const char* key : {"label_names", "class_names"}) {
    const JsonValue* list = hub.find(key);
    if (!list || list->kind != Kind::array) continue;
    if (static_cast<int64_t>(list->array.size()) != classes)
      contradict(*list, key, fmt::format("{} classes", classes));
    for (const JsonValue& name : list->array) names.push_back(name_in(name));
    return names;
  }
  return {};
}

}  // namespace

std::string config_beside(const std::string& weights) {
  for (const fs::path& place : places_of(weights)) {
    std::error_code unknown;
    if (fs::is_regular_file(place, unknown)) return place.string();
  }
  return "";
}

std::optional<JsonValue> hub_config(const std::string& weights) {
  const auto [beside, above] = places_of(weights);
  std::optional<JsonValue> found;
  for (const fs::path& place : {beside, above}) {
    std::error_code unknown;
    if (!fs::is_regular_file(place, unknown)) continue;
    JsonValue json;
    try {
      json = read_json(place);
    } catch (const Error&) {
      if (place == beside) throw;
      continue;  // not of this file
    }
    if (json.kind != Kind::object) continue;
    ATROUS_CHECK(
        !json.find("model"), ErrorKind::checkpoint,
        "[weights] \"{}\" must say which network it is for. Got a file without a config. Give one with "
        "--config, such as {}.",
        weights, place.string());
    const bool hub = json.find("encoder_name") || json.find("architecture") || json.find("architectures");
    if (place == beside && hub) found = std::move(json);
  }
  return found;
}

std::vector<std::string> apply_hub(const JsonValue& hub, nets::FileNetwork& network, Config& config,
                                   std::vector<std::string>& notes) {
  if (hub.find("encoder_name")) apply_smp(hub, network);
  const JsonValue* timm = hub.find("pretrained_cfg");
  const JsonValue& facts = timm ? *timm : hub;
  if (hub.find("architecture")) apply_timm(hub, facts, network, config);
  const int64_t channels = network.model->in_channels;
  config.data.mean = numbers_in(facts, "mean", channels, false);
  config.data.std = numbers_in(facts, "std", channels, true);
  std::vector<std::string> names = names_in(facts, network.classes);
  if (names.empty() && timm) names = names_in(hub, network.classes);
  std::vector<std::string> taken;
  if (!config.data.mean.empty()) taken.push_back(fmt::format("mean {}", fmt::join(config.data.mean, ", ")));
  if (!config.data.std.empty())
    taken.push_back(fmt::format("standard deviation {}", fmt::join(config.data.std, ", ")));
  if (!names.empty()) taken.push_back("the names of the classes");
  if (!taken.empty())
    notes.push_back(fmt::format("from the config.json beside it: {}", fmt::join(taken, "; ")));
  return names;
}

}  // namespace atrous::train
