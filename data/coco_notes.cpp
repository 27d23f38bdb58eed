// Notes for users of a COCO file.
#include <fmt/format.h>

#include <algorithm>

#include "core/text.h"
#include "data/coco_json.h"

namespace atrous::data {

std::vector<std::string> CocoRepairs::lines(const std::string& path) const {
  std::vector<std::string> out;
  const auto say = [&](int64_t count, const char* what) {
    if (count > 0) out.push_back(fmt::format("note: {}: {} {}", path, counted(count, "record"), what));
  };
  say(boxes_from_masks, "without \"bbox\": the bounding box of the mask is used");
  say(areas_from_masks, "without \"area\": the pixel count of the mask is used");
  say(areas_from_boxes, "without \"area\" and \"segmentation\": the area of the box is used");
  say(empty_polygons, "with an empty polygon in \"segmentation\": it is skipped");
  say(rles_in_lists, "with run lengths in a list as \"segmentation\": the mask is their union");
  say(text_ids, "with ids as text: they are read as numbers");
  return out;
}

bool has_id_zero(const CocoAnnotations& annotations) {
  return std::ranges::any_of(annotations.annotations, [](const CocoAnnotation& a) { return a.id == 0; });
}

std::vector<std::string> coco_notes(const CocoAnnotations& all, const std::string& crowd_remedy) {
  std::vector<std::string> out = all.repairs.lines(all.path);
  const auto crowds = std::ranges::count_if(all.annotations, &CocoAnnotation::crowd);
  if (2 * crowds > std::ssize(all.annotations)) {
    out.push_back(fmt::format(
        "note: {}: {} of {} {} iscrowd 1, as CVAT writes it for every mask that is not a polygon. Crowds are "
        "not trained on, and in scores they count neither way. If each is one object, {}",
        all.path, crowds, counted(std::ssize(all.annotations), "annotation"), crowds == 1 ? "has" : "have",
        crowd_remedy));
  }
  return out;
}

}  // namespace atrous::data
