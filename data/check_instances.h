// `atrous data check` for instance data sets.
#pragma once

#include <array>
#include <map>
#include <string>
#include <vector>

#include "data/check.h"
#include "data/instances.h"

namespace atrous::data {

struct InstanceSplitReport {
  std::string split;
  int64_t images = 0;
  int64_t unreadable = 0;                // images or annotations that gave an error
  int64_t faulty_records = 0;            // faults in records of COCO annotations; those records are left out
  std::map<std::string, int64_t> sizes;  // "480x360" -> images
  int64_t objects = 0;                   // crowds not counted
  int64_t crowds = 0;
  int64_t most_objects = 0;             // in one image
  std::array<int64_t, 3> by_size{};     // objects below 32 x 32, below 96 x 96, the rest, as COCO counts
  int64_t images_without_objects = 0;   // nothing annotated
  int64_t images_with_crowds_only = 0;  // training leaves them out
  int64_t boxes_degenerate = 0;         // no area inside the image: training leaves them out
  int64_t boxes_outside = 0;            // more than a pixel beyond the image
  int64_t masks_empty = 0;              // no pixel
  int64_t masks_beside_box = 0;         // box and mask share less than half of what they cover
  // Sets of mask pictures alone: objects whose largest connected piece has less than 2/3 of their pixels.
  int64_t objects_scattered = 0;
  std::vector<int64_t> class_objects;  // by label, crowds not counted
  std::vector<int64_t> class_images;
  std::vector<ClassInfo> classes;  // by label; those of the report unless an error says otherwise
};

struct InstanceCheckReport {
  std::string dataset, root;
  std::vector<ClassInfo> classes;  // of the training split, if there is one
  std::vector<std::string> notes;  // how classes were matched and renamed
  std::vector<InstanceSplitReport> splits;
  std::vector<Finding> findings;

  int64_t errors() const;
  std::string table() const;  // human-readable
  std::string json() const;
};

// As check_data(): every error in the data becomes a finding, also classes of a split that train
// lacks.
InstanceCheckReport check_instances(const DataOptions& options, int64_t num_classes, int64_t in_channels,
                                    const std::vector<std::string>& splits = {});

}  // namespace atrous::data
