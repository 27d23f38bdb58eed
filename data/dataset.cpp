// Opening a data set: what each named set knows about itself, and what the options say.
#include "data/dataset.h"

#include <algorithm>
#include <filesystem>
#include <unordered_map>

#include "data/list_dataset.h"

namespace atrous::data {
namespace {

namespace fs = std::filesystem;

// What a set brings along, before the options have their say.
struct Defaults {
  ClassTable table;         // empty: the set knows no classes
  std::string label_map;    // empty: identity
  int64_t in_channels = 0;  // 0: whatever the model takes
  std::string strip_prefix;
};

Defaults camvid() {
  Defaults d;
  d.table.classes = {{"sky", {128, 128, 128}},         {"building", {128, 0, 0}},   {"pole", {192, 192, 128}},
                     {"road", {128, 64, 128}},         {"pavement", {60, 40, 222}}, {"tree", {128, 128, 0}},
                     {"sign_symbol", {192, 128, 128}}, {"fence", {64, 64, 128}},    {"car", {64, 0, 128}},
                     {"pedestrian", {64, 64, 0}},      {"bicyclist", {0, 128, 192}}};
  d.label_map = "0-10:0,11:ignore";
  d.strip_prefix = "/SegNet/CamVid/";  // the lists of the SegNet tutorial hold absolute paths
  return d;
}

Defaults isbi2012() {
  Defaults d;
  d.table.classes = {{"membrane", {0, 0, 0}}, {"cell", {255, 255, 255}}};
  d.label_map = "0:0,255:1";
  d.in_channels = 1;
  return d;
}

Defaults defaults_of(const DataOptions& options) {
  if (options.dataset == "camvid") return camvid();
  if (options.dataset == "isbi2012") return isbi2012();
  ATROUS_CHECK(options.dataset == "list" || options.dataset == "shapes", ErrorKind::config,
               "[data.dataset] must be list, camvid, isbi2012 or shapes. Got `{}`.", options.dataset);
  Defaults d;
  const fs::path table = fs::path(options.root) / "classes.json";
  if (fs::exists(table)) {
    d.table = read_class_table(table.string());
    for (size_t k = 0; k < d.table.ids.size(); ++k) d.label_map += fmt::format("{}:{},", d.table.ids[k], k);
    const int64_t ignored = d.table.ignore_index.value_or(ignore_label);
    const bool is_class = std::find(d.table.ids.begin(), d.table.ids.end(), ignored) != d.table.ids.end();
    if (is_class) {
      d.label_map.pop_back();
    } else {
      d.label_map += fmt::format("{}:ignore", ignored);
    }
  }
  ATROUS_CHECK(options.dataset != "shapes" || !d.table.classes.empty(), ErrorKind::data,
               "[data.root] {} holds no generated set: classes.json is missing. Make one with `atrous data "
               "make-shapes --out {}`.",
               options.root, options.root);
  return d;
}

const std::string& list_of(const DataOptions& options, const std::string& split) {
  ATROUS_CHECK(split == "train" || split == "val" || split == "test", ErrorKind::usage,
               "[data] the split must be train, val or test. Got `{}`.", split);
  return split == "train" ? options.train_list : split == "val" ? options.val_list : options.test_list;
}

int64_t resolve_classes(const DataOptions& options, const Defaults& defaults, int64_t num_classes) {
  const auto known = static_cast<int64_t>(defaults.table.classes.size());
  if (num_classes == 0 && !options.class_names.empty())
    num_classes = static_cast<int64_t>(options.class_names.size());
  if (num_classes == 0) num_classes = known;
  ATROUS_CHECK(num_classes > 0, ErrorKind::config,
               "[data] the number of classes is not known. Give model.num_classes, data.class_names or a "
               "classes.json in {}.",
               options.root);
  // With a label map of his own, the user decides what the classes are.
  ATROUS_CHECK(known == 0 || known == num_classes || !options.label_map.empty(), ErrorKind::config,
               "[model.num_classes] must agree with the data set. Got {}, but {} ({}) has {} classes. Set "
               "model.num_classes={} or give data.label_map.",
               num_classes, options.dataset, options.root, known, known);
  ATROUS_CHECK(options.class_names.empty() || static_cast<int64_t>(options.class_names.size()) == num_classes,
               ErrorKind::config, "[data.class_names] must name every class. Got {} names for {} classes.",
               options.class_names.size(), num_classes);
  return num_classes;
}

std::vector<ClassInfo> resolve_names(const DataOptions& options, const Defaults& defaults,
                                     int64_t num_classes) {
  const bool own = static_cast<int64_t>(defaults.table.classes.size()) == num_classes;
  std::vector<ClassInfo> classes;
  for (int64_t k = 0; k < num_classes; ++k) {
    const auto i = static_cast<size_t>(k);
    classes.push_back(own ? defaults.table.classes[i]
                          : ClassInfo{fmt::format("class{}", k), default_color(k)});
    if (!options.class_names.empty()) classes.back().name = options.class_names[i];
  }
  return classes;
}

LabelMap resolve_map(const DataOptions& options, const Defaults& defaults, int64_t num_classes) {
  if (!options.label_map.empty()) return LabelMap::parse(options.label_map, num_classes);
  if (!defaults.label_map.empty()) return LabelMap::parse(defaults.label_map, num_classes);
  return LabelMap::identity(num_classes);
}

std::string find_list(const DataOptions& options, const std::string& split) {
  const std::string& name = list_of(options, split);
  ATROUS_CHECK(!name.empty(), ErrorKind::config,
               "[data] there is no list for the {} split. Set data.{}_list.", split, split);
  const std::string path = (fs::path(options.root) / name).string();
  ATROUS_CHECK(!options.root.empty(), ErrorKind::config,
               "[data.root] the folder of the data set is not given. Set data.root.");
  ATROUS_CHECK(fs::is_directory(options.root), ErrorKind::data,
               "[data.root] the folder of the data set must exist. Got {}. Set data.root.", options.root);
  ATROUS_CHECK(fs::is_regular_file(path), ErrorKind::data,
               "[data.{0}_list] {1} does not exist. Check data.root and data.{0}_list.", split, path);
  return path;
}

// An image in both lists would make validation meaningless.
void check_disjoint(const DataOptions& options, const std::string& split,
                    const std::vector<ListEntry>& entries, const std::string& strip_prefix) {
  if (split == "test") return;
  const std::string other = split == "train" ? "val" : "train";
  const fs::path path = fs::path(options.root) / list_of(options, other);
  if (list_of(options, other).empty() || !fs::is_regular_file(path)) return;
  ATROUS_CHECK(list_of(options, other) != list_of(options, split), ErrorKind::data,
               "[data] train and val must be different lists. Got `{}` for both.", list_of(options, split));
  std::unordered_map<std::string, int64_t> lines;
  for (const ListEntry& e : read_list(path.string(), false, strip_prefix)) lines.emplace(e.image, e.line);
  for (const ListEntry& e : entries) {
    const auto found = lines.find(e.image);
    ATROUS_CHECK(found == lines.end(), ErrorKind::data,
                 "[data] an image belongs to train or val, not both. Got `{}` in line {} of the {} list and "
                 "line {} of the {} "
                 "list. Remove one.",
                 e.image, e.line, split, found->second, other);
  }
}

ImageReadOptions image_options(const DataOptions& options) {
  ImageReadOptions image;
  image.apply_exif = options.exif == "apply";
  image.alpha = options.alpha == "drop" ? AlphaPolicy::drop : AlphaPolicy::reject;
  image.sixteen_bit = options.sixteen_bit == "reduce" ? DepthPolicy::reduce : DepthPolicy::reject;
  return image;
}

}  // namespace

std::unique_ptr<ListDataset> open_list_dataset(const DataOptions& options, const std::string& split,
                                               int64_t num_classes, int64_t in_channels) {
  const std::string list = find_list(options, split);
  const Defaults defaults = defaults_of(options);
  num_classes = resolve_classes(options, defaults, num_classes);
  std::vector<ListEntry> entries = read_list(list, split == "test", defaults.strip_prefix);
  check_disjoint(options, split, entries, defaults.strip_prefix);
  if (in_channels == 0) in_channels = defaults.in_channels ? defaults.in_channels : 3;
  return std::make_unique<ListDataset>(ListDataset::Parts{
      .name = options.dataset,
      .split = split,
      .root = options.root,
      .entries = std::move(entries),
      .label_map = resolve_map(options, defaults, num_classes),
      .classes = resolve_names(options, defaults, num_classes),
      .in_channels = in_channels,
      .unknown_to_ignore = options.map_unknown_to_ignore,
      .accept_wide_labels = !options.label_map.empty() && options.label_map != "identity",
      .image = image_options(options),
  });
}

Tensor load_image(const std::string& path, const DataOptions& options, int64_t channels) {
  return with_channels(read_image(path, image_options(options)), channels, path);
}

std::unique_ptr<Dataset> open_dataset(const DataOptions& options, const std::string& split,
                                      int64_t num_classes, int64_t in_channels) {
  return open_list_dataset(options, split, num_classes, in_channels);
}

}  // namespace atrous::data
