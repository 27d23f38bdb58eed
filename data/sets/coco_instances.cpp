// Sets whose objects are in a JSON file of COCO's format: COCO itself (Lin et al., ECCV 2014), the generated
// shapes, and exports of any annotation tool.
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <unordered_map>
#include <unordered_set>

#include "core/text.h"
#include "data/coco_json.h"
#include "data/faults.h"
#include "data/sets/coco_classes.h"
#include "data/sets/files.h"
#include "data/sets/instance_sets.h"

namespace atrous::data {
namespace {

using files::fs::path;

// The folder of a split in Roboflow's exports; those of validation are called valid or val.
std::vector<std::string> split_folders(const std::string& split) {
  return split == "val" ? std::vector<std::string>{"valid", "val"} : std::vector<std::string>{split};
}

// Common paths of a split's annotations.
std::vector<std::string> annotation_places(const std::string& split) {
  std::vector<std::string> places = {"annotations/instances_" + split + "2017.json",
                                     "annotations/instances_" + split + "2014.json",
                                     "annotations/instances_" + split + ".json",
                                     "annotations/" + split + ".json",
                                     "instances_" + split + ".json",
                                     split + ".json"};
  for (const std::string& folder : split_folders(split)) places.push_back(folder + "/_annotations.coco.json");
  return places;
}

// A list option that names a JSON file wins. Empty if the split does not exist.
std::string annotation_file(const DataOptions& options, const std::string& split) {
  const std::string& given = list_name(options, split);
  if (given.ends_with(".json")) return (path(options.root) / given).string();
  for (const std::string& place : annotation_places(split)) {
    const path file = path(options.root) / place;
    if (files::fs::is_regular_file(file)) return file.string();
  }
  return "";
}

// Where the images of a split may lie. `file`: the annotations, beside which Roboflow puts them.
std::vector<std::string> image_places(const DataOptions& options, const std::string& split,
                                      const std::string& file) {
  std::vector<std::string> places;
  const path beside = path(file).parent_path().lexically_relative(options.root).lexically_normal();
  if (!beside.empty() && beside != "." && *beside.begin() != "..") places.push_back(beside.string());
  const auto add = [&](const std::string& of) {
    for (const std::string& place :
         {of + "2017", of + "2014", std::string(), std::string("images"), "images/" + of + "2017"})
      places.push_back(place);
    for (const std::string& folder : split_folders(of)) {
      places.push_back("images/" + folder);
      places.push_back(folder);
    }
  };
  add(split);
  // One file for both.
  const std::string other = split == "train" ? "val" : "train";
  if (split != "test" && file == annotation_file(options, other)) add(other);
  return places;
}

// Leaves out the images that are not good, and their objects.
void keep_images(CocoAnnotations& all, const std::vector<uint8_t>& good) {
  std::vector<int64_t> place(good.size(), -1);
  std::vector<CocoImage> images;
  for (size_t i = 0; i < good.size(); ++i) {
    if (!good[i]) continue;
    place[i] = static_cast<int64_t>(images.size());
    images.push_back(std::move(all.images[i]));
  }
  all.images = std::move(images);
  std::erase_if(all.annotations, [&](CocoAnnotation& a) {
    a.image = place[static_cast<size_t>(a.image)];
    return a.image < 0;
  });
}

// The path of an image, checked to be below the folder of images.
std::string checked_file(const CocoImage& image, const CocoAnnotations& all) {
  const path file = path(image.file_name).lexically_normal();
  const bool inside = !file.empty() && file.is_relative() && *file.begin() != "..";
  ATROUS_CHECK(inside, ErrorKind::data,
               "[{}] \"file_name\" of image {} must be a path below the folder of images. Got `{}`.",
               all.path, image.id, image.file_name);
  ATROUS_CHECK(image.height > 0, ErrorKind::data,
               "[{}] image {} ({}) must have \"height\" and \"width\". Add them.", all.path, image.id,
               image.file_name);
  return file.string();
}

// The folder that holds the first image found in any of them: files of some images may be missing.
std::string find_images(const std::vector<ListEntry>& entries, const std::string& root,
                        const std::vector<std::string>& places) {
  constexpr size_t enough = 100;
  for (size_t i = 0; i < std::min(entries.size(), enough); ++i) {
    for (const std::string& place : places) {
      std::error_code error;
      if (files::fs::is_regular_file(path(root) / place / entries[i].image, error)) return place;
    }
  }
  return "";
}

// Entries by rising image id, as the annotations have them. Images with faults are left out of both.
std::vector<ListEntry> entries_of(CocoAnnotations& all, const DataOptions& options, const std::string& split,
                                  const internal::Faults& faults) {
  ATROUS_CHECK(!all.images.empty(), ErrorKind::data,
               "[{}] there must be an image. The list \"images\" is empty.", all.path);
  std::vector<ListEntry> entries;
  std::vector<uint8_t> good;
  std::unordered_map<std::string, int64_t> ids;
  for (const CocoImage& image : all.images) {
    good.push_back(faults.attempt([&] {
      const std::string file = checked_file(image, all);
      const auto [first, inserted] = ids.emplace(file, image.id);
      ATROUS_CHECK(inserted, ErrorKind::data,
                   "[{}] names of images must differ. Got `{}` for images {} and {}.", all.path,
                   image.file_name, first->second, image.id);
      entries.push_back({.id = {}, .image = file, .label = {}});
    }));
  }
  if (entries.size() < all.images.size()) keep_images(all, good);
  const std::string place = find_images(entries, options.root, image_places(options, split, all.path));
  for (ListEntry& e : entries) e.image = (path(place) / e.image).string();
  assign_ids(entries, all.path);
  return entries;
}

// Whether train and val share an image. Reading COCO's own 450 MB only for that would double the start of a
// run, so large files are left to `data check`, which compares the pixels of all images. With
// data.allow_overlap, a note for the validation split; otherwise an error.
void check_disjoint(InstanceFiles::Parts& parts, const DataOptions& options, const std::string& split) {
  constexpr uintmax_t large = uintmax_t{1} << 26;
  if (split == "test" || (options.allow_overlap && split == "train")) return;
  const std::string other = split == "train" ? "val" : "train", file = annotation_file(options, other);
  if (!files::fs::is_regular_file(file) || files::fs::file_size(file) > large) return;
  std::unordered_set<std::string> theirs;
  try {
    CocoAnnotations rival = read_coco_annotations(file, CocoMasks::skip);
    for (const ListEntry& e : entries_of(rival, options, other, internal::Faults())) theirs.insert(e.image);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::data) throw;
    if (split == "val") parts.notes.push_back(overlap_unknown_note());
    return;  // opening the other split reports what is wrong with it
  }
  const auto is_theirs = [&](const ListEntry& e) { return theirs.contains(e.image); };
  const auto first = std::ranges::find_if(parts.entries, is_theirs);
  if (first == parts.entries.end()) return;
  ATROUS_CHECK(options.allow_overlap, ErrorKind::data,
               "[data] an image belongs to train or val, not both. Got `{}` in either annotation file ({}). "
               "Remove one, or set data.allow_overlap=true to test whether a network overfits.",
               first->image, file);
  parts.notes.push_back(
      overlap_note(std::ranges::count_if(parts.entries, is_theirs), std::ssize(parts.entries)));
}

// All objects have masks, or none has; boxes are near their images (f32 would make some infinite).
void check_geometry(CocoAnnotations& all, const internal::Faults& faults) {
  std::erase_if(all.annotations, [&](const CocoAnnotation& a) {
    bool good = faults.attempt([&] {
      ATROUS_CHECK(a.has_box, ErrorKind::data,
                   "[{}] annotation {} must have \"bbox\" or \"segmentation\". It has neither.", all.path,
                   a.id);
    });
    good &= faults.attempt([&] {
      const double corners[] = {a.box.x, a.box.y, a.box.x + a.box.width, a.box.y + a.box.height};
      const bool near = std::all_of(std::begin(corners), std::end(corners),
                                    [](double c) { return std::abs(c) <= max_polygon_coordinate; });
      ATROUS_CHECK(near, ErrorKind::data,
                   "[{}] \"bbox\" of annotation {} must lie within {:g} pixels of the corner of its image. "
                   "Got {:g}, {:g}, {:g}, {:g}. Correct it.",
                   all.path, a.id, max_polygon_coordinate, a.box.x, a.box.y, a.box.width, a.box.height);
    });
    good &= !a.has_box || faults.attempt([&] {
      ATROUS_CHECK(a.has_mask() || all.segmentations == 0, ErrorKind::data,
                   "[{}] annotation {} has no mask ({}), but {} one. Add it, or remove those of all for a "
                   "set of boxes.",
                   all.path, a.id, a.empty_segmentation ? "\"segmentation\" is empty" : "no \"segmentation\"",
                   all.segmentations == 1 ? "1 other has" : fmt::format("{} others have", all.segmentations));
    });
    return !good;
  });
}

// data.crowds=objects: each crowd is one object.
void read_crowds(CocoAnnotations& all, const DataOptions& options, std::vector<std::string>& notes) {
  if (options.crowds == Crowds::objects) {
    const auto crowds = std::ranges::count_if(all.annotations, &CocoAnnotation::crowd);
    for (CocoAnnotation& a : all.annotations) a.crowd = false;
    if (crowds > 0) {
      notes.push_back(fmt::format("note: {}: {} of {} {} iscrowd 1, treated as {} (data.crowds=objects)",
                                  all.path, crowds, counted(std::ssize(all.annotations), "annotation"),
                                  crowds == 1 ? "has" : "have", crowds == 1 ? "an object" : "objects"));
    }
  }
  for (std::string& note : coco_notes(all, "set data.crowds=objects.")) notes.push_back(std::move(note));
  if (has_id_zero(all)) {
    notes.push_back(
        fmt::format("note: {}: an annotation has the id 0. It counts as any other here; pycocotools never "
                    "counts it as found, so that its scores are lower",
                    all.path));
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
    ATROUS_CHECK(windows <= static_cast<double>(max_window_pixels), ErrorKind::data,
                 "[{}] the boxes around the masks of an image may have at most {} pixels together. Got "
                 "{:.0f} in {} objects of image {}. Is each the mask of one object?",
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
      const double corners[] = {a.box.x, a.box.y, a.box.x + a.box.width, a.box.y + a.box.height};
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

// The annotation files that exist, that of the training split first.
std::vector<SplitFile> split_files(const DataOptions& options) {
  std::vector<SplitFile> found;
  for (const char* split : {"train", "val", "test"}) {
    const std::string file = annotation_file(options, split);
    if (files::fs::is_regular_file(file)) found.push_back({split, file});
  }
  return found;
}

}  // namespace

bool has_coco_split(const DataOptions& options, const std::string& split) {
  const std::string file = annotation_file(options, split);
  return !file.empty() && files::fs::is_regular_file(file);
}

std::unique_ptr<InstanceDataset> open_coco_instances(const DataOptions& options, const std::string& split,
                                                     int64_t num_classes, int64_t in_channels,
                                                     const ClassList* classes,
                                                     std::vector<std::string>* faults) {
  check_split(split);
  check_root(options);
  const std::string file = annotation_file(options, split);
  if (file.empty()) {
    fail(ErrorKind::data,
         "[data] there is no {} split in {}: none of {} exists. Check data.root, or name the file by "
         "data.{}_list.",
         split, options.root, fmt::join(annotation_places(split), ", "), split);
  }
  const internal::Faults sink(faults);
  CocoAnnotations all = read_coco_annotations(file, CocoMasks::keep, {}, faults);
  InstanceFiles::Parts parts = instance_parts(options, split, in_channels);
  parts.check_files = !sink.collects();
  parts.entries = entries_of(all, options, split, sink);
  read_crowds(all, options, parts.notes);
  // If all faults are collected, one that two splits share is reported once.
  if (!faults || split == "val") sink.attempt([&] { check_disjoint(parts, options, split); });
  check_geometry(all, sink);
  CategoryLabels labels = label_categories(all, {.options = options,
                                                 .split = split,
                                                 .num_classes = num_classes,
                                                 .classes = classes,
                                                 .splits = split_files(options)});
  parts.classes = std::move(labels.classes);
  parts.category_ids = std::move(labels.category_ids);
  parts.notes.insert(parts.notes.end(), labels.notes.begin(), labels.notes.end());
  return std::make_unique<CocoInstances>(std::move(parts), std::move(all), std::move(labels.label_of));
}

}  // namespace atrous::data
