// Deviations in COCO files that the reader repaired.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace atrous::data {

// Records that omit a field, or deviate from the format, and were read all the same.
struct CocoRepairs {
  int64_t boxes_from_masks = 0;
  int64_t areas_from_masks = 0, areas_from_boxes = 0;
  int64_t empty_polygons = 0;  // [[]], or [] among polygons
  int64_t rles_in_lists = 0;   // [{"size", "counts"}]: the mask is their union
  int64_t text_ids = 0;        // "12" for 12

  // One line of text for each kind that occurred.
  std::vector<std::string> lines(const std::string& path) const;
};

}  // namespace atrous::data
