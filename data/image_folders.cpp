#include "data/image_folders.h"

#include <algorithm>
#include <filesystem>

#include "core/error.h"
#include "core/text.h"
#include "data/folder.h"
#include "data/list_dataset.h"
#include "data/sets/sets.h"

namespace atrous::data {
namespace {

namespace fs = std::filesystem;

struct ClassFolder {
  std::string name;
  std::vector<std::string> files;
};

// The class folders of a split, sorted by name. `notes` gets what is left out.
std::vector<ClassFolder> read_split(const fs::path& folder, std::vector<std::string>& notes) {
  std::vector<std::string> names, others;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error); !error && entry != fs::directory_iterator();
       entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    std::error_code dangling;
    const bool is_class = entry->is_directory(dangling) && !name.starts_with('.') && !is_system_file(name);
    (is_class ? names : others).push_back(name);
  }
  ATROUS_CHECK(!error, ErrorKind::io,
               "[data] the folder {} must be readable. Got: {}. Check its permissions.", folder.string(),
               error.message());
  ATROUS_CHECK(!names.empty(), ErrorKind::data,
               "[data] a split holds a folder of images per class. Got none in {}{}. Put the images of each "
               "class into a folder that has the name of the class.",
               folder.string(),
               others.empty() ? "" : fmt::format(", but {}", counted(std::ssize(others), "file")));
  std::sort(names.begin(), names.end());
  std::sort(others.begin(), others.end());
  if (!others.empty())
    notes.push_back(
        fmt::format("skipped in {}: not in the folder of a class ({})", folder.string(), listed(others)));
  std::vector<ClassFolder> classes;
  for (const std::string& name : names) {
    const std::string path = (folder / name).string();
    FolderListing found = list_images(path, FolderOf::images);
    if (const std::string text = found.skipped_text(path); !text.empty()) notes.push_back(text);
    classes.push_back({name, std::move(found.files)});
  }
  return classes;
}

// What the folder of the set has instead of a split.
std::string folders_in(const std::string& root) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator entry(root, error); !error && entry != fs::directory_iterator();
       entry.increment(error)) {
    std::error_code dangling;
    if (entry->is_directory(dangling)) names.push_back(entry->path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names.empty() ? "no folders" : listed(names);
}

// The labels of the folders, and the classes that they mean.
struct Labels {
  std::vector<int64_t> of_folder;  // no_class: left out
  ClassList list;
  bool named_by_others = false;

  void relabel(const ClassMatch& match, std::vector<std::string>& notes) {
    for (int64_t& label : of_folder) {
      if (label != no_class) label = match.labels[static_cast<size_t>(label)];
    }
    list.classes = match.classes;
    notes.insert(notes.end(), match.notes.begin(), match.notes.end());
  }
};

Labels labels_of(const std::vector<ClassFolder>& folders, const DataOptions& options,
                 const std::string& split, const ClassList* ours, std::vector<std::string>& notes) {
  Labels labels;
  labels.list.what = fmt::format("the {} split of {}", split, options.root);
  for (const ClassFolder& folder : folders) {
    const auto k = static_cast<int64_t>(labels.of_folder.size());
    labels.of_folder.push_back(k);
    labels.list.classes.push_back({folder.name, default_color(k), {}});
  }
  const ClassMap map(options.class_map);
  labels.relabel(map.apply(labels.list), notes);
  ATROUS_CHECK(!labels.list.classes.empty(), ErrorKind::config,
               "[data.class_map] ignores every class. Got {}. Keep at least one.",
               counted(std::ssize(folders), "class", "classes"));
  if (!ours) return labels;
  labels.named_by_others = has_names(*ours);
  const ClassMatch match = match_classes(labels.list, *ours);
  labels.named_by_others = labels.named_by_others || match.by_name;
  ATROUS_CHECK(match.by_name || labels.list.classes.size() == ours->classes.size(), ErrorKind::data,
               "[classes] {} has no class names, so it must have as many classes as {}. Got {} and {}. Give "
               "data.class_names.",
               ours->what, labels.list.what, ours->classes.size(), labels.list.classes.size());
  labels.relabel(match, notes);
  return labels;
}

}  // namespace

ClassifiedImage ImageFolders::load(int64_t index) const {
  const Entry& e = entry(index);
  return {e.id, e.path, with_channels(read_image(e.path, parts_.image), parts_.in_channels, e.path), e.label};
}

std::vector<int64_t> ImageFolders::counts() const {
  std::vector<int64_t> counts(parts_.classes.size());
  for (const Entry& e : parts_.entries) ++counts[static_cast<size_t>(e.label)];
  return counts;
}

LabelHistogram ImageFolders::histogram() const {
  LabelHistogram h(num_classes());
  h.pixels = h.images = counts();
  h.total = size();
  for (size_t k = 0; k < h.images.size(); ++k) h.labelled_pixels[k] = h.images[k] > 0 ? h.total : 0;
  return h;
}

std::string ImageFolders::describe() const {
  constexpr size_t most = 8;
  std::string text =
      fmt::format("data: {}, {}: {}, {}, {}, root {}\nimages per class:", image_folders_name, parts_.split,
                  counted(size(), "image"), counted(parts_.in_channels, "channel"),
                  counted(num_classes(), "class", "classes"), parts_.root);
  const std::vector<int64_t> images = counts();
  if (images.size() <= most) {
    for (size_t k = 0; k < images.size(); ++k)
      text += fmt::format("{} {} {}", k ? "," : "", parts_.classes[k].name, images[k]);
  } else {
    const auto [least, largest] = std::ranges::minmax(images);
    text += fmt::format(" {} to {}", least, largest);
  }
  for (const std::string& note : parts_.notes) text += "\n" + note;
  return text;
}

bool has_folders_split(const DataOptions& options, const std::string& split) {
  std::error_code error;
  return fs::is_directory(fs::path(options.root) / split, error);
}

std::unique_ptr<ImageFolders> open_image_folders(const DataOptions& options, const std::string& split,
                                                 int64_t num_classes, int64_t in_channels,
                                                 const ClassList* ours) {
  check_split(split);
  check_root(options);
  ATROUS_CHECK(is_classification_set(options.dataset), ErrorKind::config,
               "[data.dataset] must be `{}` for networks that classify images. Got `{}`. Set data.dataset.",
               image_folders_name, options.dataset);
  const fs::path folder = fs::path(options.root) / split;
  ATROUS_CHECK(has_folders_split(options, split), ErrorKind::data,
               "[data] there is no {0} split: {1} does not exist. The root has {2}. Put the images of each "
               "class into {1}/<class>.",
               split, folder.string(), folders_in(options.root));
  ImageFolders::Parts parts;
  parts.split = split;
  parts.root = options.root;
  parts.in_channels = in_channels ? in_channels : 3;
  parts.image = image_options(options);
  const std::vector<ClassFolder> folders = read_split(folder, parts.notes);
  Labels labels = labels_of(folders, options, split, ours, parts.notes);
  const auto count = static_cast<int64_t>(labels.list.classes.size());
  ATROUS_CHECK(
      num_classes == 0 || count == num_classes, ErrorKind::config,
      "[model.num_classes] must agree with the data set. Got {}, but {} has {}: {}. Set "
      "model.num_classes={}, or give data.class_map.",
      num_classes, folder.string(), counted(count, "class", "classes"),
      [&] {
        std::vector<std::string> names;
        for (const ClassInfo& c : labels.list.classes) names.push_back(c.name);
        return listed(names);
      }(),
      count);
  parts.classes = std::move(labels.list.classes);
  if (!labels.named_by_others) {
    ATROUS_CHECK(options.class_names.empty() || options.class_names.size() == parts.classes.size(),
                 ErrorKind::config,
                 "[data.class_names] must name every class. Got {} names for {} classes. Correct them.",
                 options.class_names.size(), parts.classes.size());
    rename_classes(parts.classes, options.class_names);
  }
  std::vector<std::string> empty;
  for (size_t k = 0; k < folders.size(); ++k) {
    if (folders[k].files.empty()) empty.push_back(folders[k].name);
    if (labels.of_folder[k] == no_class) continue;
    for (const std::string& file : folders[k].files) {
      parts.entries.push_back(
          {folders[k].name + "/" + fs::path(file).filename().string(), file, labels.of_folder[k]});
    }
  }
  if (!empty.empty())
    parts.notes.push_back(
        fmt::format("note: folders without images in {}: {}", folder.string(), listed(empty)));
  return std::make_unique<ImageFolders>(std::move(parts));
}

}  // namespace atrous::data
