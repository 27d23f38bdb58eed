// Finding the files of a data set. Internal to data/.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "data/list_dataset.h"
#include "data/sets/sets.h"

namespace atrous::data::files {

namespace fs = std::filesystem;

// The folder below the root in which a set begins: users give the set's folder or one that contains it.
// The first of `candidates` (relative to the root) that holds the folder `marker`; Error(data) names all of
// them.
fs::path find_base(const std::string& root, std::span<const char* const> candidates,
                   const std::string& marker);

// Names of the files of a folder that end in `suffix`, without it, sorted. Hidden files and what systems
// create (._x, .DS_Store, Thumbs.db, __MACOSX) are left out.
std::vector<std::string> stems_in(const fs::path& folder, const std::string& suffix);
std::vector<std::string> subfolders(const fs::path& folder);

// Image folder and label folder, both relative to the root; the endings of names after the common stem.
struct FolderPair {
  fs::path images;
  std::string image_suffix;
  fs::path labels;  // empty: the split has no labels
  std::string label_suffix;
};
// One entry per image. Error(data) names images without label and labels without image.
std::vector<ListEntry> pair_folders(const std::string& root, const FolderPair& pair);
// Adds them to the plan, and its note on the other files in the image folder.
void add_pairs(SplitPlan& plan, const std::string& root, const FolderPair& pair);

// The ids of an official list: the first field of each line; for lists of file pairs, the stem of the first.
// Error(data) for an empty list, a duplicate id and ids that are not plain names.
// With `faults`, errors of single lines are added to them and the line left out.
std::vector<ListEntry> read_ids(const fs::path& list, std::vector<std::string>* faults = nullptr);

// The plan's `missing` for a file or folder.
std::string not_there(const fs::path& path);

// Names and colours (0xrrggbb) of a table in the code.
struct Named {
  const char* name;
  uint32_t rgb;
};
std::vector<ClassInfo> classes_of(std::span<const Named> table);
// Names with the colours of PASCAL VOC's map, the first one from entry `first_color`.
std::vector<ClassInfo> classes_of(std::span<const char* const> names, int64_t first_color);

}  // namespace atrous::data::files
