// Data sets for classification: images in folders, one folder per class.
//
//   ROOT/train/<class>/*    ROOT/val/<class>/*    ROOT/test/<class>/*
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "data/class_match.h"
#include "data/dataset.h"
#include "data/image_io.h"
#include "data/statistics.h"

namespace atrous::data {

// The value of data.dataset.
inline constexpr std::string_view image_folders_name = "folders";
inline bool is_classification_set(std::string_view name) {
  return name == image_folders_name;
}

struct ClassifiedImage {
  std::string id = {};  // "<class folder>/<file>", unique in the split
  std::string image_path = {};
  Tensor image = {};  // u8 [H, W, C] as decoded; f32 [H, W, C] once augmented
  int64_t label = 0;
};

class ImageFolders {
 public:
  struct Entry {
    std::string id, path;
    int64_t label = 0;
  };
  struct Parts {
    std::string split, root;
    std::vector<Entry> entries;
    std::vector<ClassInfo> classes;
    int64_t in_channels = 3;
    std::vector<std::string> notes;  // classes without images, skipped files, how classes were matched
    ImageReadOptions image;
  };
  explicit ImageFolders(Parts parts) : parts_(std::move(parts)) {}

  int64_t size() const { return static_cast<int64_t>(parts_.entries.size()); }
  const std::string& id(int64_t index) const { return entry(index).id; }
  const std::string& image_path(int64_t index) const { return entry(index).path; }
  int64_t label(int64_t index) const { return entry(index).label; }
  // Error(data) names the file and the reason. Thread-safe.
  ClassifiedImage load(int64_t index) const;
  int64_t num_classes() const { return static_cast<int64_t>(parts_.classes.size()); }
  int64_t in_channels() const { return parts_.in_channels; }
  const std::vector<ClassInfo>& classes() const { return parts_.classes; }
  const std::vector<std::string>& notes() const { return parts_.notes; }
  // Images of each class.
  std::vector<int64_t> counts() const;
  // The same in the form from which class weights are computed: an image counts as one pixel.
  LabelHistogram histogram() const;
  // One line per fact for the start of a run.
  std::string describe() const;

 private:
  const Entry& entry(int64_t index) const { return parts_.entries.at(static_cast<size_t>(index)); }
  Parts parts_;
};

// Whether the set has this split at this root.
bool has_folders_split(const DataOptions& options, const std::string& split);

// The classes are the folders of the split, sorted by name; with `classes` (those of the training split, or
// of a checkpoint) they are matched by name, and a class that only this split has is an Error(data).
// num_classes and in_channels as for open_dataset; 0 takes them from the set (3 channels).
std::unique_ptr<ImageFolders> open_image_folders(const DataOptions& options, const std::string& split,
                                                 int64_t num_classes, int64_t in_channels,
                                                 const ClassList* classes = nullptr);

}  // namespace atrous::data
