#include "data/coco_fields.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>

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

std::vector<double> read_polygon(const Json& list, const std::string& where) {
  ATROUS_CHECK(
      list.is_array(), ErrorKind::data,
      "[{}] \"segmentation\" must be a list of polygons [[x0, y0, x1, y1, ...], ...]. Got {} instead of a "
      "polygon. One polygon also needs both pairs of brackets.",
      where, shown(list));
  std::vector<double> polygon;
  polygon.reserve(list.size());
  for (const Json& v : list) polygon.push_back(finite(v, "segmentation", where));
  check_polygon(polygon, where);
  return polygon;
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

int64_t id_of(const Json& record, const char* key, const std::string& where, Oddities& odd) {
  const Json& v = need(record, key, where);
  if (!v.is_string()) return whole(v, key, where);
  const std::string& text = v.get_ref<const std::string&>();
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  ATROUS_CHECK(error == std::errc() && end == text.data() + text.size(), ErrorKind::data,
               "[{}] \"{}\" must be a whole number. Got {}. Number the records.", where, key, shown(v));
  odd.text_id = true;
  return number;
}

void Oddities::count(CocoRepairs& repairs) const {
  repairs.text_ids += text_id;
  repairs.rles_in_lists += rle_in_list;
  repairs.empty_polygons += empty_polygon;
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

bool read_outline(const Json& record, Outline& outline, const std::string& where, Oddities& odd,
                  const Faults& faults) {
  const Json* v = find(record, "segmentation");
  if (!v) return true;
  if (v->is_object()) return faults.attempt([&] { outline.rle = read_rle(*v, where); });
  if (!v->is_array()) {
    return faults.attempt([&] {
      fail(ErrorKind::data,
           "[{}] \"segmentation\" must be a list of polygons or {{\"size\", \"counts\"}}. Got {}.", where,
           shown(*v));
    });
  }
  if (!v->empty() && std::all_of(v->begin(), v->end(), [](const Json& e) { return e.is_object(); })) {
    odd.rle_in_list = true;
    return faults.attempt([&] {
      std::vector<Rle> parts;
      for (const Json& part : *v) {
        parts.push_back(read_rle(part, where));
        ATROUS_CHECK(parts.back().height == parts[0].height && parts.back().width == parts[0].width,
                     ErrorKind::data, "[{}] the masks of an object must have one size. Got {}x{} and {}x{}.",
                     where, parts[0].height, parts[0].width, parts.back().height, parts.back().width);
      }
      outline.rle = parts.size() == 1 ? std::move(parts[0]) : rle_merge(parts, MaskSet::union_of);
    });
  }
  bool good = true;
  for (size_t i = 0; i < v->size(); ++i) {
    const Json& part = (*v)[i];
    if (part.is_array() && part.empty()) {
      odd.empty_polygon = true;
      continue;
    }
    const std::string place = v->size() > 1 ? fmt::format("{}, polygon {}", where, i) : where;
    good &= faults.attempt([&] { outline.polygons.push_back(read_polygon(part, place)); });
  }
  return good;
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

CocoCategory read_category(const Json& record, const std::string& where, Oddities& odd) {
  const int64_t id = id_of(record, "id", where, odd);
  return {id, text_or(record, "name", fmt::format("category {}", id), where)};
}

CocoImage read_image(const Json& record, const std::string& where, Oddities& odd) {
  CocoImage image{.id = id_of(record, "id", where, odd),
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
