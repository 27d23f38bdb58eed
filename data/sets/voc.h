// Code shared by the sets made from VOC's images. Internal to data/.
#pragma once

#include <filesystem>

#include "data/sets/sets.h"

namespace atrous::data {

// Relative to the root.
struct VocFolders {
  std::filesystem::path images;  // ID.jpg
  std::filesystem::path labels;
  std::string label_suffix;  // ".png"
};
// Entries for the ids of `list` (relative to the root).
SplitPlan plan_voc_list(const DataOptions& options, const std::filesystem::path& list,
                        const VocFolders& folders, bool has_labels);

}  // namespace atrous::data
