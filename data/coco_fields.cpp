#include "data/coco_fields.h"

#include <fmt/format.h>

#include <cmath>

#include "core/error.h"

namespace atrous::data::internal {
namespace {

// Text of a value for messages.
std::string shown(const Json& v) {
  constexpr size_t longest = 60;
  const std::string text = v.is_structured() ? fmt::format("an {} of {}", v.type_name(), v.size())
                                             : v.dump(-1, ' ', true, Json::error_handler_t::replace);
  return text.size() <= longest ? text : text.substr(0, longest) + "...";
}

std::vector<std::vector<double>> read_polygons(const Json& list, const std::string& where) {
  std::vector<std::vector<double>> polygons;
  for (const Json& p : list) {
    ATROUS_CHECK(
        p.is_array(), ErrorKind::data,
        "[{}] \"segmentation\" must be a list of polygons [[x0, y0, x1, y1, ...], ...]. Got {} instead of a "
        "polygon. One polygon also needs both pairs of brackets.",
        where, shown(p));
    std::vector<double>& polygon = polygons.emplace_back();
    polygon.reserve(p.size());
    for (const Json& v : p) polygon.push_back(finite(v, "segmentation", where));
    check_polygon(polygon, where);
  }
  return polygons;
}

Rle read_rle(const Json& object, const std::string& where) {
  const Json& size = need(object, "size", where);
  ATROUS_CHECK(size.is_array() && size.size() == 2, ErrorKind::data,
               "[{}] \"size\" of a mask must be [height, width]. Got {}.", where, shown(size));
  const int64_t height = whole(size[0], "size", where), width = whole(size[1], "size", where);
  const Json& counts = need(object, "counts", where);
  if (counts.is_string()) return rle_from_string(height, width, counts.get_ref<const std::string&>(), where);
  ATROUS_CHECK(counts.is_array(), ErrorKind::data,
               "[{}] \"counts\" of a mask must be a list or a text. Got {}.", where, shown(counts));
  std::vector<int64_t> numbers;
  numbers.reserve(counts.size());
  for (const Json& v : counts) numbers.push_back(whole(v, "counts", where));
  return rle_from_counts(height, width, numbers, where);
}

}  // namespace

const Json* find(const Json& record, const char* key) {
  const auto found = record.find(key);
  return found == record.end() || found->is_null() ? nullptr : &*found;
}

const Json& need(const Json& record, const char* key, const std::string& where) {
  const Json* found = find(record, key);
  ATROUS_CHECK(found, ErrorKind::data, "[{}] must have \"{}\". It has none.", where, key);
  return *found;
}

double finite(const Json& v, const char* what, const std::string& where) {
  ATROUS_CHECK(v.is_number() && std::isfinite(v.get<double>()), ErrorKind::data,
               "[{}] \"{}\" must be a finite number. Got {}.", where, what, shown(v));
  return v.get<double>();
}

int64_t whole(const Json& v, const char* what, const std::string& where) {
  constexpr double exact = 9007199254740992;  // 2^53
  if (v.is_number_unsigned() && v.get<uint64_t>() <= static_cast<uint64_t>(INT64_MAX))
    return v.get<int64_t>();
  if (v.is_number_integer() && !v.is_number_unsigned()) return v.get<int64_t>();
  const double d = v.is_number_float() ? v.get<double>() : NAN;
  ATROUS_CHECK(std::abs(d) <= exact && d == std::floor(d), ErrorKind::data,
               "[{}] \"{}\" must be a whole number. Got {}.", where, what, shown(v));
  return static_cast<int64_t>(d);
}

bool flag(const Json& record, const char* key, const std::string& where) {
  const Json* v = find(record, key);
  if (!v) return false;
  if (v->is_boolean()) return v->get<bool>();
  const int64_t number = whole(*v, key, where);
  ATROUS_CHECK(number == 0 || number == 1, ErrorKind::data, "[{}] \"{}\" must be 0 or 1. Got {}.", where, key,
               number);
  return number == 1;
}

std::string text_or(const Json& record, const char* key, std::string otherwise, const std::string& where) {
  const Json* v = find(record, key);
  if (!v) return otherwise;
  ATROUS_CHECK(v->is_string(), ErrorKind::data, "[{}] \"{}\" must be text. Got {}.", where, key, shown(*v));
  return v->get<std::string>();
}

bool read_box(const Json& record, CocoBox& box, const std::string& where) {
  const Json* v = find(record, "bbox");
  if (!v || (v->is_array() && v->empty())) return false;
  ATROUS_CHECK(v->is_array() && v->size() == 4, ErrorKind::data,
               "[{}] \"bbox\" must be [x, y, width, height]. Got {}.", where, shown(*v));
  double numbers[4];
  for (size_t i = 0; i < 4; ++i) numbers[i] = finite((*v)[i], "bbox", where);
  box = {numbers[0], numbers[1], numbers[2], numbers[3]};
  ATROUS_CHECK(
      box.width >= 0 && box.height >= 0, ErrorKind::data,
      "[{}] \"bbox\" is [x, y, width, height]; its sides must not be negative. Got width {} and height {}.",
      where, box.width, box.height);
  return true;
}

Outline read_outline(const Json& record, const std::string& where) {
  const Json* v = find(record, "segmentation");
  if (!v) return {};
  if (v->is_array()) return {read_polygons(*v, where), {}};
  ATROUS_CHECK(v->is_object(), ErrorKind::data,
               "[{}] \"segmentation\" must be a list of polygons or {{\"size\", \"counts\"}}. Got {}.", where,
               shown(*v));
  return {{}, read_rle(*v, where)};
}

Rle outline_mask(Outline& outline, const CocoImage& image, const std::string& where, CocoBudget& budget) {
  if (!outline.polygons.empty()) {
    ATROUS_CHECK(image.height > 0, ErrorKind::data,
                 "[{}] a polygon needs \"height\" and \"width\" of its image. Image {} has none.", where,
                 image.id);
    int64_t crossings = 0;
    Rle mask = rle_from_polygons(image.height, image.width, outline.polygons, where, &crossings);
    budget.pass(crossings);
    outline = {};
    return mask;
  }
  const Rle& rle = outline.rle;
  ATROUS_CHECK(
      image.height == 0 || (rle.height == image.height && rle.width == image.width), ErrorKind::data,
      "[{}] a mask must have the size of its image. Got {}x{}, but image {} is {}x{} (height x width).",
      where, rle.height, rle.width, image.id, image.height, image.width);
  return std::move(outline.rle);
}

CocoCategory read_category(const Json& record, const std::string& where) {
  const int64_t id = whole(need(record, "id", where), "id", where);
  return {id, text_or(record, "name", fmt::format("category {}", id), where)};
}

CocoImage read_image(const Json& record, const std::string& where) {
  CocoImage image{.id = whole(need(record, "id", where), "id", where),
                  .file_name = text_or(record, "file_name", "", where)};
  if (!find(record, "height") && !find(record, "width")) return image;
  image.height = whole(need(record, "height", where), "height", where);
  image.width = whole(need(record, "width", where), "width", where);
  ATROUS_CHECK(image.height >= 1 && image.width >= 1, ErrorKind::data,
               "[{}] an image must have pixels. Got height {} and width {}.", where, image.height,
               image.width);
  return image;
}

}  // namespace atrous::data::internal
