// `atrous data check` for classification data sets.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "data/check.h"

namespace atrous::data {

struct FolderSplitReport {
  std::string split;
  int64_t images = 0;
  int64_t unreadable = 0;                // images that gave an error
  std::map<std::string, int64_t> sizes;  // "480x360" -> images
  std::vector<int64_t> class_images;     // of each class
};

struct FolderCheckReport {
  std::string root;
  std::vector<ClassInfo> classes;
  std::vector<std::string> notes;
  std::vector<FolderSplitReport> splits;
  std::vector<Finding> findings;

  int64_t errors() const;
  std::string table() const;  // human-readable
  std::string json() const;
};

// As check_data() of check.h: every error in the data becomes a finding.
FolderCheckReport check_folders(const DataOptions& options, int64_t num_classes, int64_t in_channels,
                                const std::vector<std::string>& splits = {});

}  // namespace atrous::data
