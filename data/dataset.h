// Data sets: numbered samples of image and label.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "core/tensor.h"
#include "data/image_policy.h"

namespace atrous::data {

// The one value for "no class" inside atrous. Files use the value in their label map.
inline constexpr uint8_t ignore_label = 255;

struct ClassInfo {
  std::string name;
  std::array<uint8_t, 3> color{};
  // The name in the files of the data set, by which classes are matched (class_match.h). Empty: the same.
  std::string set_name = {};
};
struct ClassList;  // class_match.h

struct Sample {
  std::string id = {};  // unique inside the split, e.g. "0001TP_006690"
  std::string image_path = {};
  std::string label_path = {};
  Tensor image = {};  // u8 [H, W, C] as decoded; f32 [H, W, C] once normalised
  Tensor label = {};  // u8 [H, W]: class index or ignore_label; undefined if the set has no labels
};

class Dataset {
 public:
  virtual ~Dataset() = default;
  virtual int64_t size() const = 0;
  virtual std::string id(int64_t index) const = 0;
  // Decodes image and label and applies the label map. Error(data) names file, position, value and remedy.
  // Thread-safe.
  virtual Sample load(int64_t index) const = 0;
  // The label alone, for statistics: no image is decoded.
  virtual Tensor load_label(int64_t index) const { return load(index).label; }
  virtual int64_t num_classes() const = 0;
  virtual int64_t in_channels() const = 0;
  virtual const std::vector<ClassInfo>& classes() const = 0;
  // Whether a label file of this set can hold the class at all: false if no value means it, because the label
  // map ignores its values or the set does not have it. Such a class is in no mean of scores.
  virtual bool can_occur(int64_t) const { return true; }
  // One line per fact for the start of a run: name, split, size, label map, how classes were matched.
  virtual std::string describe() const = 0;
};

// Labels of sets with COCO annotations.
enum class CategoryIds {
  contiguous,  // the categories counted from 1
  raw,         // their ids in the file: the labels of torchvision's weights for COCO, 91 classes with gaps
};
constexpr auto names_of(CategoryIds) {
  return std::to_array<Named<CategoryIds>>(
      {{CategoryIds::contiguous, "contiguous"}, {CategoryIds::raw, "raw"}});
}

// Annotations with iscrowd 1.
enum class Crowds {
  ignore,   // as COCO does: no targets, and ignored in scores
  objects,  // iscrowd has no effect
};
constexpr auto names_of(Crowds) {
  return std::to_array<Named<Crowds>>({{Crowds::ignore, "ignore"}, {Crowds::objects, "objects"}});
}

// Plain values of the `data` section; train/config_fields.cpp declares their JSON names, ranges and help
// texts.
struct DataOptions {
  std::string dataset = "list";  // a name of data/sets/sets.cpp
  std::string root;              // folder of the set
  // Sets with lists: `image label` per line, relative to root. VOC and PASCAL-Context: ids.
  std::string train_list = "train.txt";
  std::string val_list = "val.txt";
  std::string test_list = "test.txt";
  // file value to class: "0:0,1:1,255:ignore", "identity" (values < num_classes are classes, 255 is ignored);
  // empty: the set's own. For RGB label images: "#ff0000:0,#00ff00:1,#000000:ignore".
  std::string label_map;
  std::vector<std::string> class_names;  // empty: the set's own or class0, class1, ...
  // "theirs:ours" or "theirs:ignore": the model's names for classes of the set (class_match.h).
  std::vector<std::string> class_map;
  bool allow_overlap = false;  // an image may be in train and val: to test whether a network overfits
  bool map_unknown_to_ignore = false;
  AlphaPolicy alpha = AlphaPolicy::reject;
  DepthPolicy sixteen_bit = DepthPolicy::reject;
  ExifPolicy exif = ExifPolicy::apply;
  // Instance sets.
  CategoryIds category_ids = CategoryIds::contiguous;
  Crowds crowds = Crowds::ignore;
  bool keep_empty_images = false;  // train on images without objects too
  // Batches of images of like width / height, in 2k + 2 bins (torchvision's recipe: 3); 0: any together.
  int64_t aspect_ratio_bins = 0;
  int64_t workers = 1;      // loader threads besides the training threads; 0 loads in the training thread
  int64_t cache_mb = 1024;  // decoded and resized samples kept in memory by the loader; 0: none
  int64_t batch_size = 8;
  // Images are resized to this before augmentation (and for evaluation); 0 keeps their own size. Scores are
  // always computed at the size of the label file.
  int64_t image_height = 0;
  int64_t image_width = 0;
  std::vector<double>
      mean;  // per channel, of values in [0, 1]; empty: ImageNet for 3 channels, 0.5 otherwise
  std::vector<double> std;
};

// split: "train", "val", "test". num_classes and in_channels come from the model (checked against the set
// where it knows them); 0 takes them from the set. Opening reads the lists and checks that every file exists.
// Labels are those of `classes` (a checkpoint's), matched by name; without, the set's own.
// Error(data), Error(config).
std::unique_ptr<Dataset> open_dataset(const DataOptions& options, const std::string& split,
                                      int64_t num_classes, int64_t in_channels,
                                      const ClassList* classes = nullptr);

// One image file, read as by the data sets: u8 [H, W, channels]. Error(data) names file and reason.
Tensor load_image(const std::string& path, const DataOptions& options, int64_t channels);

}  // namespace atrous::data
