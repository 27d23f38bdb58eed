#include <nlohmann/json.hpp>

#include "core/atomic_file.h"
#include "data/coco_json.h"

namespace atrous::data {

void write_coco_results(const std::string& path, const CocoAnnotations& annotations,
                        const std::vector<CocoResult>& results, CocoFields fields) {
  std::string text = "[";
  for (const CocoResult& r : results) {
    nlohmann::json record{{"image_id", annotations.images[static_cast<size_t>(r.image)].id},
                          {"category_id", annotations.categories[static_cast<size_t>(r.category)].id},
                          {"score", r.score}};
    if (fields != CocoFields::masks) record["bbox"] = {r.box.x, r.box.y, r.box.width, r.box.height};
    if (fields != CocoFields::boxes && !r.mask.counts.empty())
      record["segmentation"] = {{"size", {r.mask.height, r.mask.width}}, {"counts", rle_to_string(r.mask)}};
    text += (text.size() > 1 ? ",\n" : "\n") + record.dump();
  }
  write_file_atomically(path, text + "\n]\n");
}

}  // namespace atrous::data
