// `atrous data check`: reads every image and label of a data set and reports likely mistakes before training
// starts.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "data/dataset.h"
#include "data/statistics.h"

namespace atrous::data {

struct Finding {
  bool is_error = false;  // otherwise a warning
  std::string message;
};

struct SplitReport {
  std::string split;
  int64_t images = 0;
  int64_t unreadable = 0;                // images or labels that gave an error
  std::map<std::string, int64_t> sizes;  // "480x360" -> images
  std::map<std::string, int64_t> label_formats;
  std::map<int64_t, int64_t> values;  // pixels per value as stored in the files; empty for colour labels
  LabelHistogram histogram;           // after the label map
  int64_t single_class_labels = 0;    // labels that show one class only
};

struct CheckReport {
  std::string dataset, root, label_map;
  std::vector<ClassInfo> classes;
  std::vector<std::string> notes;  // how classes were matched and renamed
  std::vector<SplitReport> splits;
  std::vector<Finding> findings;

  int64_t errors() const;
  std::string table() const;  // human-readable
  std::string json() const;
};

// Never throws for bad data: every error in it becomes a finding. Error(config) only for impossible
// options. num_classes and in_channels as for open_dataset. Without `splits`: train and val, which must be
// there, and test where it is there.
CheckReport check_data(const DataOptions& options, int64_t num_classes, int64_t in_channels,
                       const std::vector<std::string>& splits = {});

}  // namespace atrous::data
