#include "data/sets/instance_sets.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>

#include "core/text.h"
#include "data/class_match.h"

namespace atrous::data {

const std::vector<InstanceSet>& instance_sets() {
  static const std::vector<InstanceSet> table = {
      {"coco", "COCO instances, and any set with COCO annotations", nullptr, ""},
      {"shapes_instances", "the generated set of `atrous data make-shapes`, its objects", nullptr, ""},
      {"pennfudan", "Penn-Fudan pedestrians, one by one", plan_pennfudan, "person"},
      {"nuclei", "list files with `image mask` per line; a mask holds the ids of nuclei", plan_list,
       "nucleus"},
      {"id_masks", "the same for any objects of one class", plan_list, "object"},
  };
  return table;
}

InstanceFiles::InstanceFiles(Parts parts) : parts_(std::move(parts)) {
  if (parts_.check_files) check_files_exist(parts_.root, parts_.split, parts_.entries);
}

std::string InstanceFiles::path_of(const std::string& file) const {
  return (std::filesystem::path(parts_.root) / file).string();
}

InstanceSample InstanceFiles::load(int64_t index) const {
  InstanceSample sample;
  sample.id = id(index);
  sample.image_path = path_of(entry(index).image);
  if (!parts_.check_files) check_entry_exists(parts_.root, entry(index));
  sample.image =
      with_channels(read_image(sample.image_path, parts_.image), parts_.in_channels, sample.image_path);
  sample.instances = instances(index);
  const int64_t height = sample.image.dim(0), width = sample.image.dim(1), h = sample.instances.height,
                w = sample.instances.width;
  ATROUS_CHECK(
      height == h && width == w, ErrorKind::data,
      "[data] image and annotations must have the same size. Got {} with {} x {}, annotated as {} x {}. {}.",
      sample.image_path, width, height, w, h,
      size_advice(sample.image_path, parts_.image, h, w, "data.exif"));
  return sample;
}

std::string InstanceFiles::describe() const {
  std::string names;
  for (size_t k = 1; k < parts_.classes.size() && k <= 5; ++k)
    names += fmt::format("{}{}:{}", k > 1 ? " " : "", k, parts_.classes[k].name);
  std::string lines;
  for (const std::string& note : parts_.notes) lines += "\n" + note;
  return fmt::format("data: {}, {}: {}, {}, {} with background, root {}\nobjects: {}{}", parts_.name,
                     parts_.split, counted(size(), "image"), counted(parts_.in_channels, "channel"),
                     counted(num_classes(), "class", "classes"), parts_.root, names,
                     parts_.classes.size() > 6 ? " ..." : "") +
         lines;
}

InstanceFiles::Parts instance_parts(const DataOptions& options, const std::string& split,
                                    int64_t in_channels) {
  return {.name = options.dataset,
          .split = split,
          .root = options.root,
          .in_channels = in_channels ? in_channels : 3,
          .image = image_options(options)};
}

namespace {

// Null if the name is unknown.
const InstanceSet* find_set(const std::string& name) {
  for (const InstanceSet& set : instance_sets()) {
    if (set.name == name) return &set;
  }
  return nullptr;
}

}  // namespace

std::vector<std::string> instance_set_names() {
  std::vector<std::string> names;
  for (const InstanceSet& set : instance_sets()) names.push_back(set.name);
  return names;
}

bool is_instance_set(const std::string& name) {
  return find_set(name) != nullptr;
}

bool has_coco_annotations(const std::string& name) {
  const InstanceSet* set = find_set(name);
  return set && !set->plan;
}

bool takes_instance_lists(const std::string& name) {
  const InstanceSet* set = find_set(name);
  return set && (!set->plan || set->plan == plan_list);
}

bool has_id_masks(const std::string& name) {
  const InstanceSet* set = find_set(name);
  return set && set->plan;
}

bool has_instance_split(const DataOptions& options, const std::string& split) {
  for (const InstanceSet& set : instance_sets()) {
    if (set.name != options.dataset) continue;
    check_root(options);
    if (!set.plan) return has_coco_split(options, split);
    const SplitPlan plan = set.plan(options, split);
    const auto has_mask = [](const ListEntry& e) { return !e.label.empty(); };
    return plan.missing.empty() && std::ranges::any_of(plan.entries, has_mask);
  }
  return false;
}

std::unique_ptr<InstanceDataset> open_instance_dataset(const DataOptions& options, const std::string& split,
                                                       int64_t num_classes, int64_t in_channels,
                                                       const ClassList* classes,
                                                       std::vector<std::string>* faults) {
  for (const InstanceSet& set : instance_sets()) {
    if (set.name != options.dataset) continue;
    if (!set.plan) return open_coco_instances(options, split, num_classes, in_channels, classes, faults);
    ATROUS_CHECK(num_classes == 0 || num_classes == 2 || (classes && has_names(*classes)), ErrorKind::config,
                 "[model.num_classes] must be 2, background and {}, for {}. Got {}. Set model.num_classes=2.",
                 set.object, set.name, num_classes);
    return open_id_masks(set, options, split, in_channels, classes, faults);
  }
  fail(ErrorKind::config, "[data.dataset] a detection model needs one of {}. Got `{}`. Set data.dataset.",
       fmt::join(instance_set_names(), ", "), options.dataset);
}

}  // namespace atrous::data
