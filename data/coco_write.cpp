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

void write_coco_images(const std::string& path, const CocoAnnotations& annotations) {
  using Json = nlohmann::ordered_json;
  const auto text_of = [](const Json& j) { return j.dump(-1, ' ', false, Json::error_handler_t::replace); };
  std::string text = "{\"images\":[";
  const char* before = "\n";
  for (const CocoImage& i : annotations.images) {
    Json record{{"id", i.id}, {"file_name", i.file_name}};
    if (i.height > 0) record.update({{"width", i.width}, {"height", i.height}});
    text += before + text_of(record);
    before = ",\n";
  }
  text += "\n],\n\"categories\":[";
  before = "\n";
  for (const CocoCategory& c : annotations.categories) {
    text += before + text_of({{"id", c.id}, {"name", c.name}});
    before = ",\n";
  }
  write_file_atomically(path, text + "\n]}\n");
}

}  // namespace atrous::data
