// Which classes the labels of a run mean: those of the checkpoint that it resumes, those of the weights that
// it starts from if these have the same names, otherwise the training split's own.
#pragma once

#include <fmt/format.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data/class_match.h"
#include "train/config.h"

namespace atrous::train {

// The classes of a network of this config, for matching; `what` says whose they are.
data::ClassList class_list(const std::vector<data::ClassInfo>& classes, const Config& config,
                           const std::string& what);

// The classes in a checkpoint, given by path or by name (nets/published_weights.h), whose last layers such a
// network can load; empty for other files.
std::optional<data::ClassList> start_classes(const Config& config, const std::string& given);

// Whether the config has settings by label, in the order of the training split.
bool has_settings_by_label(const Config& config);

// Opens the training split by `open`, whose argument may be null. `stored` are the classes of a checkpoint
// that is resumed, or null. `notes` gets a line if model.weights has other classes, or no names for them.
template <class Set>
std::unique_ptr<Set> open_training_split(
    const Config& config, const data::ClassList* stored,
    const std::function<std::unique_ptr<Set>(const data::ClassList*)>& open,
    std::vector<std::string>& notes) {
  std::unique_ptr<Set> set = open(stored);
  if (stored) return set;
  const std::optional<data::ClassList> start = start_classes(config, config.model.weights);
  if (!start) return set;
  const data::ClassList own = class_list(set->classes(), config, "the train split");
  if (!data::share_names(own, *start)) {
    for (std::string& note : data::match_classes(own, *start).notes) notes.push_back(std::move(note));
    return set;
  }
  if (!data::same_names(own, *start)) {
    notes.push_back(data::difference(own, *start));
  } else if (!has_settings_by_label(config)) {
    return open(&*start);
  } else {
    notes.push_back(
        fmt::format("note: classes: train.class_weights gives numbers by label, so labels are numbered as in "
                    "the train split, not as in {}",
                    start->what));
  }
  return set;
}

}  // namespace atrous::train
