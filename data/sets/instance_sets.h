// The instance data sets that are known by name, and code shared by their readers. Internal to data/.
//
// Two kinds of files define the pixels of an object: COCO's JSON (coco_instances.cpp), and PNG masks whose
// values are the objects' numbers (id_masks.cpp). A set is a row in the table of instance_sets.cpp.
#pragma once

#include <string>
#include <vector>

#include "data/instances.h"
#include "data/list_dataset.h"
#include "data/sets/sets.h"

namespace atrous::data {

struct InstanceSet {
  std::string name;     // data.dataset
  std::string summary;  // one line for help texts
  // Folders of images and id masks; null: COCO annotations.
  PlanFunction plan;
  const char* object;  // id masks: name of the one class
};

const std::vector<InstanceSet>& instance_sets();
// Whether the set uses data.train_list and the other lists.
bool takes_instance_lists(const std::string& name);
// Whether the set's masks are pictures of numbers.
bool has_id_masks(const std::string& name);
// The value in its picture of an object of such a set, from Instances::ids: unique in the set, the image's
// number above 16 bits of value.
constexpr int64_t id_mask_object(int64_t image_id, int64_t value) {
  return (image_id << 16) + value;
}
constexpr int64_t id_mask_value(int64_t object_id) {
  return object_id & 0xffff;
}

// Everything but the objects themselves.
class InstanceFiles : public InstanceDataset {
 public:
  struct Parts {
    std::string name, split, root;
    std::vector<ListEntry> entries = {};     // `label`: the id mask, or empty
    std::vector<ClassInfo> classes = {};     // by label
    std::vector<int64_t> category_ids = {};  // by label; 0 for background
    int64_t in_channels = 3;
    ImageReadOptions image = {};
    std::vector<std::string> notes = {};  // notes on matched classes and assumptions, lines of text
    bool check_files = true;              // otherwise load() reports missing files
  };
  // Checks that every file exists.
  explicit InstanceFiles(Parts parts);

  int64_t size() const override { return static_cast<int64_t>(parts_.entries.size()); }
  std::string id(int64_t index) const override { return entry(index).id; }
  InstanceSample load(int64_t index) const override;
  int64_t num_classes() const override { return static_cast<int64_t>(parts_.classes.size()); }
  int64_t in_channels() const override { return parts_.in_channels; }
  const std::vector<ClassInfo>& classes() const override { return parts_.classes; }
  int64_t category_id(int64_t label) const override {
    return parts_.category_ids.at(static_cast<size_t>(label));
  }
  std::string describe() const override;
  std::vector<std::string> notes() const override { return parts_.notes; }

 protected:
  const ListEntry& entry(int64_t index) const { return parts_.entries.at(static_cast<size_t>(index)); }
  std::string path_of(const std::string& file) const;
  Parts parts_;
};

// The parts that follow from the options alone.
InstanceFiles::Parts instance_parts(const DataOptions& options, const std::string& split,
                                    int64_t in_channels);

std::unique_ptr<InstanceDataset> open_id_masks(const InstanceSet& set, const DataOptions& options,
                                               const std::string& split, int64_t in_channels,
                                               const ClassList* classes, std::vector<std::string>* faults);
// `faults` as in open_instance_dataset().
std::unique_ptr<InstanceDataset> open_coco_instances(const DataOptions& options, const std::string& split,
                                                     int64_t num_classes, int64_t in_channels,
                                                     const ClassList* classes,
                                                     std::vector<std::string>* faults);
bool has_coco_split(const DataOptions& options, const std::string& split);

// PNGImages and PedMasks as published, or lists.
SplitPlan plan_pennfudan(const DataOptions& options, const std::string& split);

}  // namespace atrous::data
