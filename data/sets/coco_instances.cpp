// Sets whose objects are in a JSON file of COCO's form: COCO itself (Lin et al., ECCV 2014), the generated
// shapes, and whatever annotation tools export.
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <unordered_map>
#include <unordered_set>

#include "data/coco_json.h"
#include "data/sets/coco_classes.h"
#include "data/sets/files.h"
#include "data/sets/instance_sets.h"

namespace atrous::data {
namespace {

using files::fs::path;

// Where people keep the annotations of a split, and its images.
std::vector<std::string> annotation_places(const std::string& split) {
  return {"annotations/instances_" + split + "2017.json",
          "annotations/instances_" + split + "2014.json",
          "annotations/instances_" + split + ".json",
          "annotations/" + split + ".json",
          "instances_" + split + ".json",
          split + ".json"};
}
std::vector<std::string> image_places(const std::string& split) {
  return {split + "2017", split + "2014", "", "images", "images/" + split + "2017", "images/" + split, split};
}

// A list option that names a JSON file wins. Empty if the split is not there.
std::string annotation_file(const DataOptions& options, const std::string& split) {
  const std::string& given = list_name(options, split);
  if (given.ends_with(".json")) return (path(options.root) / given).string();
  for (const std::string& place : annotation_places(split)) {
    const path file = path(options.root) / place;
    if (files::fs::is_regular_file(file)) return file.string();
  }
  return "";
}

// Entries by rising image id, as the annotations have them.
std::vector<ListEntry> entries_of(const CocoAnnotations& all, const std::string& root,
                                  const std::string& split) {
  ATROUS_CHECK(!all.images.empty(), ErrorKind::data,
               "[{}] there must be an image. The list \"images\" is empty.", all.path);
  std::vector<ListEntry> entries;
  std::unordered_map<std::string, int64_t> ids;
  for (const CocoImage& image : all.images) {
    const path file = path(image.file_name).lexically_normal();
    const bool inside = !file.empty() && file.is_relative() && *file.begin() != "..";
    ATROUS_CHECK(inside, ErrorKind::data,
                 "[{}] \"file_name\" of image {} must be a path below the folder of images. Got `{}`.",
                 all.path, image.id, image.file_name);
    ATROUS_CHECK(image.height > 0, ErrorKind::data,
                 "[{}] image {} ({}) must have \"height\" and \"width\". Add them.", all.path, image.id,
                 image.file_name);
    const auto [first, inserted] = ids.emplace(file.string(), image.id);
    ATROUS_CHECK(inserted, ErrorKind::data,
                 "[{}] names of images must differ. Got `{}` for images {} and {}.", all.path,
                 image.file_name, first->second, image.id);
    entries.push_back({.id = {}, .image = file.string(), .label = {}});
  }
  for (const std::string& place : image_places(split)) {
    if (!files::fs::is_regular_file(path(root) / place / entries[0].image)) continue;
    for (ListEntry& e : entries) e.image = (path(place) / e.image).string();
    break;
  }
  assign_ids(entries, all.path);
  return entries;
}

// Whether train and val share an image. Reading COCO's own 450 MB only for that would double the start of a
// run, so large files are left to `data check`, which compares the pixels of all images.
void check_disjoint(const std::vector<ListEntry>& entries, const DataOptions& options,
                    const std::string& split) {
  constexpr uintmax_t large = uintmax_t{1} << 26;
  if (split == "test") return;
  const std::string other = split == "train" ? "val" : "train", file = annotation_file(options, other);
  if (!files::fs::is_regular_file(file) || files::fs::file_size(file) > large) return;
  std::unordered_set<std::string> theirs;
  try {
    const CocoAnnotations rival = read_coco_annotations(file, CocoMasks::skip);
    for (const ListEntry& e : entries_of(rival, options.root, other)) theirs.insert(e.image);
  } catch (const Error&) {
    return;  // opening the other split says what is wrong with it
  }
  for (const ListEntry& e : entries) {
    ATROUS_CHECK(
        !theirs.contains(e.image), ErrorKind::data,
        "[data] an image belongs to train or val, not both. Got `{}` in either annotation file ({}). Remove "
        "one.",
        e.image, file);
  }
}

// All objects have masks, or none has; boxes are near their images (f32 would make some infinite).
void check_geometry(const CocoAnnotations& all) {
  const auto masked = std::count_if(all.annotations.begin(), all.annotations.end(),
                                    [](const CocoAnnotation& a) { return a.has_mask(); });
  for (const CocoAnnotation& a : all.annotations) {
    ATROUS_CHECK(a.has_box || a.has_mask(), ErrorKind::data,
                 "[{}] annotation {} must have \"bbox\" or \"segmentation\". It has neither.", all.path,
                 a.id);
    const double corners[] = {a.box.x, a.box.y, a.box.x + a.box.width, a.box.y + a.box.height};
    const bool near = std::all_of(std::begin(corners), std::end(corners),
                                  [](double c) { return std::abs(c) <= max_polygon_coordinate; });
    ATROUS_CHECK(near, ErrorKind::data,
                 "[{}] \"bbox\" of annotation {} must lie within {:g} pixels of the corner of its image. Got "
                 "{:g}, {:g}, {:g}, {:g}. Correct it.",
                 all.path, a.id, max_polygon_coordinate, a.box.x, a.box.y, a.box.width, a.box.height);
    ATROUS_CHECK(
        a.has_mask() || masked == 0, ErrorKind::data,
        "[{}] annotation {} has no \"segmentation\", but {} others have one. Add it, or remove those of all "
        "for a set of boxes.",
        all.path, a.id, masked);
  }
}

class CocoInstances final : public InstanceFiles {
 public:
  CocoInstances(Parts parts, CocoAnnotations all, std::vector<int64_t> label_of)
      : InstanceFiles(std::move(parts)), all_(std::move(all)), label_of_(std::move(label_of)) {
    objects_of_.resize(all_.images.size());
    for (size_t i = 0; i < all_.annotations.size(); ++i)
      objects_of_[static_cast<size_t>(all_.annotations[i].image)].push_back(i);
  }

  int64_t image_id(int64_t index) const override { return all_.images[static_cast<size_t>(index)].id; }
  CocoAnnotations annotations() const override { return all_; }

  Instances instances(int64_t index) const override {
    Instances out = boxes(index);
    const std::vector<size_t>& objects = objects_of_[static_cast<size_t>(index)];
    double windows = 0;
    for (const size_t number : objects) windows += rle_box(all_.annotations[number].mask).area();
    ATROUS_CHECK(
        windows <= static_cast<double>(max_window_pixels), ErrorKind::data,
        "[{}] the boxes around the masks of an image may have at most {} pixels together. Got {:.0f} in "
        "{} objects of image {}. Is each the mask of one object?",
        all_.path, max_window_pixels, windows, objects.size(), image_id(index));
    for (const size_t number : objects) {
      const Rle& mask = all_.annotations[number].mask;
      if (!mask.counts.empty()) out.masks.push_back(mask_of(mask));
    }
    return out;
  }

  Instances boxes(int64_t index) const override {
    const CocoImage& image = all_.images[static_cast<size_t>(index)];
    const std::vector<size_t>& objects = objects_of_[static_cast<size_t>(index)];
    Instances out{.height = image.height, .width = image.width};
    out.boxes = Tensor::empty({static_cast<int64_t>(objects.size()), 4});
    for (const size_t number : objects) {
      const CocoAnnotation& a = all_.annotations[number];
      const CocoBox box = a.has_box ? a.box : rle_box(a.mask);
      const double corners[] = {box.x, box.y, box.x + box.width, box.y + box.height};
      float* row = out.box(out.size());
      for (size_t k = 0; k < 4; ++k) row[k] = static_cast<float>(corners[k]);
      out.labels.push_back(static_cast<int32_t>(label_of_[static_cast<size_t>(a.category)]));
      out.crowd.push_back(a.crowd);
      out.ids.push_back(a.id);
      out.areas.push_back(a.area);
    }
    return out;
  }

 private:
  CocoAnnotations all_;
  std::vector<int64_t> label_of_;                // by category
  std::vector<std::vector<size_t>> objects_of_;  // annotations of each image, in the order of the file
};

}  // namespace

bool has_coco_split(const DataOptions& options, const std::string& split) {
  const std::string file = annotation_file(options, split);
  return !file.empty() && files::fs::is_regular_file(file);
}

std::unique_ptr<InstanceDataset> open_coco_instances(const DataOptions& options, const std::string& split,
                                                     int64_t num_classes, int64_t in_channels,
                                                     const ClassList* classes) {
  check_split(split);
  check_root(options);
  const std::string file = annotation_file(options, split);
  if (file.empty()) {
    fail(ErrorKind::data,
         "[data] there is no {} split in {}: none of {} exists. Check data.root, or name the file by "
         "data.{}_list.",
         split, options.root, fmt::join(annotation_places(split), ", "), split);
  }
  CocoAnnotations all = read_coco_annotations(file);
  InstanceFiles::Parts parts = instance_parts(options, split, in_channels);
  parts.entries = entries_of(all, options.root, split);
  check_disjoint(parts.entries, options, split);
  check_geometry(all);
  const std::string train = split == "train" ? "" : annotation_file(options, "train");
  CategoryLabels labels =
      label_categories(all, {.options = options,
                             .split = split,
                             .num_classes = num_classes,
                             .classes = classes,
                             .train_file = files::fs::is_regular_file(train) ? train : ""});
  parts.classes = std::move(labels.classes);
  parts.category_ids = std::move(labels.category_ids);
  parts.notes = std::move(labels.notes);
  return std::make_unique<CocoInstances>(std::move(parts), std::move(all), std::move(labels.label_of));
}

}  // namespace atrous::data
