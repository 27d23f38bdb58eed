// Maps the categories of an annotation file to labels. Internal to data/.
#pragma once

#include <string>
#include <vector>

#include "data/class_match.h"
#include "data/coco_json.h"

namespace atrous::data {

struct CategoryLabels {
  std::vector<ClassInfo> classes;     // by label
  std::vector<int64_t> category_ids;  // by label; 0 for background, -1 for a class without a category
  std::vector<int64_t> label_of;      // by category
  std::vector<std::string> notes;     // lines of text
};

struct SplitFile {
  std::string split, path;
};

struct LabelQuestion {
  const DataOptions& options;
  std::string split;
  int64_t num_classes = 0;             // of the model; 0: as many as there are
  const ClassList* classes = nullptr;  // the model's, if they are known
  // The annotation files of the set, that of the training split first: labels number the categories of all.
  std::vector<SplitFile> splits = {};
};

// Renames and removes categories as data.class_map says, numbers them by data.category_ids, and matches them
// by name with the model's classes or those of all splits. Objects of categories of one class get one of
// these, which takes the class's name. Error(data), Error(config).
CategoryLabels label_categories(CocoAnnotations& all, const LabelQuestion& question);

}  // namespace atrous::data
