#include "train/class_source.h"

#include "core/safetensors.h"
#include "nets/factory.h"
#include "nets/published_weights.h"
#include "train/checkpoint.h"

namespace atrous::train {

data::ClassList class_list(const std::vector<data::ClassInfo>& classes, const Config& config,
                           const std::string& what) {
  return {.what = what, .classes = classes, .objects = nets::is_detector(config.model.name), .numbers = {}};
}

bool has_settings_by_label(const Config& config) {
  return !find_named<ClassWeighting>(config.train.class_weights);
}

std::optional<data::ClassList> start_classes(const Config& config, const std::string& given) {
  if (given.empty()) return std::nullopt;
  try {
    const std::string path = nets::find_weights("model.weights", given);
    const Metadata metadata = read_safetensors_metadata(path);
    const auto found = metadata.find("atrous.classes");
    if (found == metadata.end()) return std::nullopt;
    std::vector<data::ClassInfo> classes = classes_from_text(found->second, path);
    const auto stored = metadata.find("atrous.config");
    if (stored != metadata.end())
      note_given_names(classes, parse_config(stored->second, path, {}, ConfigFrom::run).data.class_names);
    // Weights for another number of classes leave the last layers as they are initialised.
    if (static_cast<int64_t>(classes.size()) != config.model.num_classes) return std::nullopt;
    return class_list(classes, config, fmt::format("the checkpoint {}", path));
  } catch (const Error&) {
    return std::nullopt;  // loading the weights reports what is wrong with them
  }
}

}  // namespace atrous::train
