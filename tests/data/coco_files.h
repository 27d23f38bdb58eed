// COCO files that the tests write.
#pragma once

#include <nlohmann/json.hpp>

#include "data/coco_json.h"
#include "tests/data/files.h"

namespace atrous::data::test {

using Json = nlohmann::json;

using Counts = std::vector<uint32_t>;

inline Json annotation(int64_t id, int64_t image, int64_t category) {
  return {{"id", id},
          {"image_id", image},
          {"category_id", category},
          {"bbox", {1, 1, 2, 2}},
          {"area", 4},
          {"iscrowd", 0},
          {"segmentation", {{1, 1, 3, 1, 3, 3, 1, 3}}}};
}

// Two images, two classes, two objects; sections in an order that is not that of use.
inline Json good() {
  return {{"info", {{"year", 2017}}},
          {"annotations", {annotation(11, 7, 3), annotation(10, 5, 90)}},
          {"images",
           {{{"id", 7}, {"file_name", "b.jpg"}, {"height", 4}, {"width", 5}},
            {{"id", 5}, {"file_name", "a.jpg"}, {"height", 6}, {"width", 8}}}},
          {"categories", {{{"id", 90}, {"name", "toothbrush"}}, {{"id", 3}, {"name", "car"}}}}};
}

inline CocoAnnotations read_text(const TemporaryFolder& folder, const std::string& text,
                                 CocoMasks masks = CocoMasks::keep, const CocoLimits& limits = {}) {
  const std::string path = folder.file("gt.json");
  write_text(path, text);
  return read_coco_annotations(path, masks, limits);
}
inline CocoAnnotations read(const TemporaryFolder& folder, const Json& j) {
  return read_text(folder, j.dump());
}

}  // namespace atrous::data::test
