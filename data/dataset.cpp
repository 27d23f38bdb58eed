// Opening a data set: properties of each named set, combined with the options.
#include "data/dataset.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <unordered_map>

#include "core/text.h"
#include "data/class_match.h"
#include "data/faults.h"
#include "data/image_folders.h"
#include "data/instances.h"
#include "data/sets/sets.h"

namespace atrous::data {
namespace {

namespace fs = std::filesystem;

const NamedSet& set_called(const std::string& name) {
  for (const NamedSet& set : named_sets()) {
    if (set.name == name) return set;
  }
  ATROUS_CHECK(!is_instance_set(name), ErrorKind::config,
               "[data.dataset] `{}` is an instance data set, for detection models. Semantic models need one "
               "of {}. Set data.dataset.",
               name, fmt::join(set_names(), ", "));
  ATROUS_CHECK(
      !is_classification_set(name), ErrorKind::config,
      "[data.dataset] `{}` is a classification data set, for networks that classify images. Semantic "
      "models need one of {}. Set data.dataset.",
      name, fmt::join(set_names(), ", "));
  std::vector<std::string> all = set_names();
  for (const std::string& objects : instance_set_names()) all.push_back(objects);
  const std::string nearest = nearest_word(name, all);
  fail(ErrorKind::config, "[data.dataset] must be one of {}, or for detection models one of {}. Got `{}`.{}",
       fmt::join(set_names(), ", "), fmt::join(instance_set_names(), ", "), name,
       nearest.empty() ? "" : fmt::format(" Did you mean `{}`?", nearest));
}

// The classes of a split's labels before other lists of classes are matched.
struct OwnClasses {
  LabelMap map;
  ClassList list;
};

LabelMap set_map(const SplitPlan& plan, int64_t classes) {
  return plan.label_map.empty() ? LabelMap::identity(classes) : LabelMap::parse(plan.label_map, classes);
}

void check_class_names(const DataOptions& options, size_t classes) {
  ATROUS_CHECK(options.class_names.empty() || options.class_names.size() == classes, ErrorKind::config,
               "[data.class_names] must name every class. Got {} names for {} classes.",
               options.class_names.size(), classes);
}

// The classes of a user's label map, named as the set names the values that become them.
void name_by_values(std::vector<ClassInfo>& classes, const LabelMap& map, const SplitPlan& plan) {
  constexpr size_t most_joined = 3;
  const LabelMap source = set_map(plan, static_cast<int64_t>(plan.classes.size()));
  for (size_t k = 0; k < classes.size(); ++k) {
    const std::set<int64_t> from = map.classes_in(source, static_cast<int64_t>(k));
    if (from.empty() || from.size() > most_joined) continue;
    classes[k].name.clear();
    for (const int64_t c : from)
      classes[k].name += (classes[k].name.empty() ? "" : "+") + plan.classes[static_cast<size_t>(c)].name;
    if (from.size() == 1) classes[k].color = plan.classes[static_cast<size_t>(*from.begin())].color;
  }
}

OwnClasses own_classes(const DataOptions& options, const SplitPlan& plan, int64_t num_classes) {
  const bool own_map = options.label_map.empty();
  const auto known = static_cast<int64_t>(plan.classes.size());
  int64_t count = own_map ? known : num_classes;
  if (count == 0) count = num_classes;
  if (count == 0) count = static_cast<int64_t>(options.class_names.size());
  if (count == 0) count = known;
  ATROUS_CHECK(count > 0, ErrorKind::config,
               "[data] the number of classes is not known. Give model.num_classes, data.class_names or a "
               "classes.json in {}.",
               options.root);
  OwnClasses own{own_map ? set_map(plan, count) : LabelMap::parse(options.label_map, count), {}};
  std::vector<ClassInfo>& classes = own.list.classes;
  for (int64_t k = 0; k < count; ++k) classes.push_back({fmt::format("class{}", k), default_color(k), {}});
  if (own_map && known > 0) {
    classes = plan.classes;
    return own;
  }
  if (known > 0) name_by_values(classes, own.map, plan);
  check_class_names(options, classes.size());
  rename_classes(classes, options.class_names);
  return own;
}

// Numbers the classes according to the class map and `ours`.
void match(OwnClasses& own, const DataOptions& options, const ClassList* ours, int64_t num_classes,
           std::vector<std::string>& notes) {
  const auto relabel = [&](ClassMatch& found, bool changes) {
    ATROUS_CHECK(!found.classes.empty(), ErrorKind::config,
                 "[data.class_map] ignores every class. Keep at least one.");
    if (changes) own.map = own.map.relabelled(found.labels, static_cast<int64_t>(found.classes.size()));
    own.list.classes = std::move(found.classes);
    notes.insert(notes.end(), found.notes.begin(), found.notes.end());
  };
  const ClassMap map(options.class_map);
  ClassMatch named = map.apply(own.list);
  relabel(named, !map.empty());
  auto count = static_cast<int64_t>(own.list.classes.size());
  bool named_by_ours = false;
  if (ours) {
    ClassMatch found = match_classes(own.list, *ours);
    named_by_ours = found.by_name || has_names(*ours);
    if (found.by_name) count = static_cast<int64_t>(found.classes.size());
    if (found.by_name || static_cast<int64_t>(found.classes.size()) == count) relabel(found, found.by_name);
  }
  ATROUS_CHECK(num_classes == 0 || count == num_classes, ErrorKind::config,
               "[model.num_classes] must agree with the data set. Got {}, but {} ({}) has {} classes. Set "
               "model.num_classes={}, or give data.label_map or data.class_map.",
               num_classes, options.dataset, options.root, count, count);
  if (named_by_ours) return;
  check_class_names(options, own.list.classes.size());
  rename_classes(own.list.classes, options.class_names);
}

SplitPlan plan_of(PlanFunction plan, const DataOptions& options, const std::string& split) {
  check_root(options);
  return plan(options, split);
}

// An image in both splits would make validation meaningless. With data.allow_overlap, a note for the
// validation split; otherwise an error, which counts the others. Errors in the other split's files
// are reported when it is opened.
void check_disjoint(PlanFunction function, const DataOptions& options, const std::string& split,
                    SplitPlan& plan) {
  if (split == "test" || (options.allow_overlap && split == "train")) return;
  const std::string other = split == "train" ? "val" : "train";
  SplitPlan rival;
  try {
    rival = plan_of(function, options, other);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::data) throw;
    rival.faults.push_back(error.what());
  }
  if (!rival.missing.empty()) return;
  if (!rival.faults.empty() && split == "val") plan.notes.push_back(overlap_unknown_note());
  const auto key = [&](const ListEntry& e) { return plan.global_ids ? e.id : e.image; };
  const auto line = [](const ListEntry& e) { return e.line ? fmt::format("line {} of the", e.line) : "the"; };
  std::unordered_map<std::string, const ListEntry*> seen;
  for (const ListEntry& e : rival.entries) seen.emplace(key(e), &e);
  const auto in_both = [&](const ListEntry& e) { return seen.contains(key(e)); };
  const auto first = std::ranges::find_if(plan.entries, in_both);
  if (first == plan.entries.end()) return;
  const auto shared = std::ranges::count_if(plan.entries, in_both);
  ATROUS_CHECK(options.allow_overlap, ErrorKind::data,
               "[data] an image belongs to train or val, not both. Got `{}` in {} {} list and {} {} list{}. "
               "Remove one, or set data.allow_overlap=true to test whether a network overfits.",
               key(*first), line(*first), split, line(*seen.at(key(*first))), other,
               shared > 1 ? fmt::format(" ({} in all)", shared) : "");
  plan.notes.push_back(overlap_note(shared, std::ssize(plan.entries)));
}

// Ids name output files and rows of reports.
void check_unique(SplitPlan& plan, const std::string& split, const internal::Faults& sink) {
  std::unordered_map<std::string, std::string> seen;
  std::erase_if(plan.entries, [&](const ListEntry& e) {
    return !sink.attempt([&] {
      const auto [before, inserted] = seen.emplace(e.id, e.image);
      ATROUS_CHECK(inserted, ErrorKind::data,
                   "[data] an id may occur once in a split. Got `{}` for {} and {} in {}. Remove one.", e.id,
                   before->second, e.image, split);
    });
  });
}

// The first fault ends the reading unless all are collected.
void report(std::vector<std::string>& found, std::vector<std::string>* faults) {
  if (faults) {
    faults->insert(faults->end(), found.begin(), found.end());
  } else if (found.size() > 1) {
    fail(ErrorKind::data, "{} ({} in all; `atrous data check` lists them.)", found[0],
         counted(std::ssize(found), "fault"));
  } else if (!found.empty()) {
    throw Error(ErrorKind::data, found[0]);
  }
}

}  // namespace

std::string overlap_note(int64_t shared, int64_t images) {
  return fmt::format(
      "note: {} of {} validation images are training images too (data.allow_overlap): validation measures "
      "what the network memorised",
      shared, images);
}

std::string overlap_unknown_note() {
  return "note: the files of the training split have faults: whether validation images are training images "
         "too is not known for all";
}

std::vector<ClassInfo> set_classes(const DataOptions& options, const SplitPlan& plan) {
  OwnClasses own = own_classes(options, plan, 0);
  std::vector<std::string> notes;
  match(own, options, nullptr, 0, notes);
  return std::move(own.list.classes);
}

ImageReadOptions image_options(const DataOptions& options) {
  return {.apply_exif = options.exif == ExifPolicy::apply,
          .alpha = options.alpha,
          .sixteen_bit = options.sixteen_bit};
}

const std::string& list_name(const DataOptions& options, const std::string& split) {
  return split == "train" ? options.train_list : split == "val" ? options.val_list : options.test_list;
}

bool has_split(const DataOptions& options, const std::string& split) {
  return plan_of(set_called(options.dataset).plan, options, split).missing.empty();
}

void check_split(const std::string& split) {
  ATROUS_CHECK(split == "train" || split == "val" || split == "test", ErrorKind::usage,
               "[data] the split must be train, val or test. Got `{}`.", split);
}

void check_root(const DataOptions& options) {
  ATROUS_CHECK(!options.root.empty(), ErrorKind::config,
               "[data.root] the folder of the data set is not given. Set data.root.");
  ATROUS_CHECK(fs::is_directory(options.root), ErrorKind::data,
               "[data.root] the folder of the data set must exist. Got {}. Set data.root.", options.root);
}

SplitPlan checked_plan(PlanFunction function, const DataOptions& options, const std::string& split,
                       std::vector<std::string>* faults) {
  const internal::Faults sink(faults);
  check_split(split);
  SplitPlan plan = plan_of(function, options, split);
  ATROUS_CHECK(plan.missing.empty(), ErrorKind::data, "[data] there is no {} split: {}. Check data.root.",
               split, plan.missing);
  report(plan.faults, faults);
  check_unique(plan, split, sink);
  // If all faults are collected, one that two splits share is reported once.
  if (!faults || split == "val") sink.attempt([&] { check_disjoint(function, options, split, plan); });
  return plan;
}

std::unique_ptr<ListDataset> open_list_dataset(const DataOptions& options, const std::string& split,
                                               int64_t num_classes, int64_t in_channels,
                                               const ClassList* classes, std::vector<std::string>* faults) {
  check_split(split);
  SplitPlan plan = checked_plan(set_called(options.dataset).plan, options, split, faults);
  OwnClasses own = own_classes(options, plan, num_classes);
  own.list.what = fmt::format("the {} split of {}", split, options.root);
  std::vector<std::string> notes = std::move(plan.notes);
  match(own, options, classes, num_classes, notes);
  const bool own_map = options.label_map.empty();
  return std::make_unique<ListDataset>(ListDataset::Parts{
      .name = options.dataset,
      .split = split,
      .root = options.root,
      .entries = std::move(plan.entries),
      .label_map = std::move(own.map),
      .classes = std::move(own.list.classes),
      .in_channels = in_channels ? in_channels : plan.in_channels,
      .unknown_to_ignore = options.map_unknown_to_ignore,
      .accept_wide_labels = own_map ? plan.wide_labels : options.label_map != "identity",
      .left_out = std::move(plan.left_out),
      .notes = std::move(notes),
      .check_files = faults == nullptr,
      .objection = own_map ? plan.objection : nullptr,
      .image = image_options(options),
  });
}

Tensor load_image(const std::string& path, const DataOptions& options, int64_t channels) {
  return with_channels(read_image(path, image_options(options)), channels, path);
}

std::unique_ptr<Dataset> open_dataset(const DataOptions& options, const std::string& split,
                                      int64_t num_classes, int64_t in_channels, const ClassList* classes) {
  return open_list_dataset(options, split, num_classes, in_channels, classes);
}

}  // namespace atrous::data
