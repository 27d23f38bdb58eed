#include "data/coco_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <unordered_set>

#include "core/error.h"
#include "core/parallel.h"
#include "data/coco_budget.h"

namespace atrous::data {
namespace {

using Json = nlohmann::json;

// Hands out the records of a file one by one; holds one at a time. The records of an annotation file are the
// members of lists of its one object (`sections`), those of a results file the members of its one list, or of
// the list "annotations" of an object that also says which images its results are of.
class RecordReader : public nlohmann::json_sax<Json> {
 public:
  using OnRecord = std::function<void(const Json& record, const std::string& where)>;

  RecordReader(const std::string& path, const CocoLimits& limits, std::map<std::string, OnRecord> sections)
      : path_(path), limits_(limits), sections_(std::move(sections)) {}
  RecordReader(const std::string& path, const CocoLimits& limits, OnRecord on_result, OnRecord on_image)
      : RecordReader(path, limits, {{"annotations", on_result}, {"images", std::move(on_image)}}) {
    on_record_ = std::move(on_result);
    is_results_ = true;
  }

  void read() {
    std::error_code error;
    ATROUS_CHECK(std::filesystem::is_regular_file(path_, error), ErrorKind::data,
                 "[{}] must be a JSON file. There is none of that name.", path_);
    const auto bytes = static_cast<int64_t>(std::filesystem::file_size(path_, error));
    ATROUS_CHECK(!error && bytes <= limits_.max_file_bytes, ErrorKind::data,
                 "[{}] a file may have at most {} bytes. Got {}. Split it.", path_, limits_.max_file_bytes,
                 bytes);
    std::ifstream file(path_, std::ios::binary);
    ATROUS_CHECK(file.good(), ErrorKind::data, "[{}] the file cannot be opened.", path_);
    Json::sax_parse(file, this);
    for (const auto& [name, unused] : sections_) {
      ATROUS_CHECK(is_results_ || seen_.count(name), ErrorKind::data,
                   "[{}] an annotation file must have the lists \"images\", \"annotations\" and "
                   "\"categories\", an object of results the first two. There is no \"{}\".",
                   path_, name);
    }
  }

  bool null() override { return value(nullptr); }
  bool boolean(bool v) override { return value(v); }
  bool number_integer(number_integer_t v) override { return value(v); }
  bool number_unsigned(number_unsigned_t v) override { return value(v); }
  bool number_float(number_float_t v, const string_t&) override { return value(v); }
  bool string(string_t& v) override { return value(std::move(v)); }
  bool binary(binary_t&) override { return true; }  // JSON text has none

  bool start_object(size_t) override {
    if (depth_ == 0 && is_results_) {
      is_results_ = false;
      on_record_ = nullptr;
    }
    return open(Json::object());
  }
  bool start_array(size_t) override {
    if (depth_ == 0) {
      ATROUS_CHECK(is_results_, ErrorKind::data,
                   "[{}] an annotation file must be an object with \"images\", \"annotations\" and "
                   "\"categories\". Got a list. Is it a results file?",
                   path_);
    }
    const bool begins_list = depth_ == record_depth() - 1 && on_record_;
    if (!begins_list) return open(Json::array());
    in_list_ = true;
    number_ = 0;
    return deeper();
  }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }

  bool key(string_t& name) override {
    if (depth_ == 1 && !is_results_) {
      section_ = name;
      const auto found = sections_.find(name);
      on_record_ = found == sections_.end() ? nullptr : found->second;
      if (on_record_) {
        ATROUS_CHECK(seen_.insert(name).second, ErrorKind::data,
                     "[{}] the list \"{}\" must be there once. It is twice.", path_, name);
      }
    }
    key_ = name;
    return true;
  }

  bool parse_error(size_t position, const std::string&, const nlohmann::detail::exception& problem) override {
    // "[json.exception.parse_error.101] parse error at line 1, column 2: syntax error ..."; the last token is
    // quoted in it, however long.
    std::string text = problem.what();
    text = text.substr(std::min(text.size(), text.find("] ") + 2), 200);
    fail(ErrorKind::data, "[{}] the file must be JSON. At byte {}: {}. Was it written or copied to its end?",
         path_, position, text);
  }

 private:
  // Depth at which records begin.
  int64_t record_depth() const { return is_results_ ? 1 : 2; }
  std::string where() const {
    return is_results_ ? fmt::format("{}: result {}", path_, number_)
                       : fmt::format("{}: {}[{}]", path_, section_, number_);
  }
  bool deeper() {
    ATROUS_CHECK(
        ++depth_ <= limits_.max_depth, ErrorKind::data,
        "[{}] lists and objects may be nested at most {} deep. They are deeper. It is not a COCO file.",
        path_, limits_.max_depth);
    return true;
  }

  bool value(Json v) {
    if (!open_.empty()) {
      add(std::move(v));
      return true;
    }
    ATROUS_CHECK(depth_ > 0, ErrorKind::data,
                 "[{}] must be an annotation or results file. Got a single value.", path_);
    check_is_outside();
    return true;
  }
  // What stands in the place of a list of records, or of a record.
  void check_is_outside() const {
    if (!on_record_) return;
    ATROUS_CHECK(depth_ != record_depth() || !in_list_, ErrorKind::data,
                 "[{}] a record must be an object {{...}}.", where());
    ATROUS_CHECK(depth_ != record_depth() - 1, ErrorKind::data, "[{}] \"{}\" must be a list.", path_,
                 section_);
  }

  bool open(Json container) {
    if (!open_.empty()) {
      open_.push_back(add(std::move(container)));
    } else if (in_list_ && depth_ == record_depth() && container.is_object()) {
      record_ = std::move(container);
      values_ = 0;
      open_.push_back(&record_);
    } else if (depth_ > 0) {
      check_is_outside();
    }
    return deeper();
  }

  Json* add(Json v) {
    ATROUS_CHECK(++values_ <= limits_.max_values_per_record, ErrorKind::data,
                 "[{}] a record may hold at most {} values. It holds more.", where(),
                 limits_.max_values_per_record);
    Json& parent = *open_.back();
    if (parent.is_array()) {
      parent.push_back(std::move(v));
      return &parent.back();
    }
    return &(parent[key_] = std::move(v));
  }

  bool close() {
    --depth_;
    if (!open_.empty()) {
      open_.pop_back();
      if (open_.empty()) {
        on_record_(record_, where());
        ++number_;
      }
    } else if (in_list_ && depth_ == record_depth() - 1) {
      in_list_ = false;
    }
    return true;
  }

  std::string path_;
  CocoLimits limits_;
  std::map<std::string, OnRecord> sections_;
  OnRecord on_record_;  // of the list that is being read; empty in what is skipped
  bool is_results_ = false;
  std::unordered_set<std::string> seen_;
  std::string section_, key_;
  int64_t depth_ = 0, number_ = 0, values_ = 0;
  bool in_list_ = false;
  Json record_;
  std::vector<Json*> open_;  // containers of the record that are not closed yet, the record first
};

// Text of a value for messages.
std::string shown(const Json& v) {
  constexpr size_t longest = 60;
  const std::string text = v.is_structured() ? fmt::format("an {} of {}", v.type_name(), v.size())
                                             : v.dump(-1, ' ', true, Json::error_handler_t::replace);
  return text.size() <= longest ? text : text.substr(0, longest) + "...";
}

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

// Also 42.0, which tools that keep ids in tables of floats write.
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

// False if there is none (or []).
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

// A segmentation as the file holds it: polygons, which need the size of their image, or run lengths, which
// have one.
struct Outline {
  std::vector<std::vector<double>> polygons;
  Rle rle;

  bool empty() const { return polygons.empty() && rle.counts.empty(); }
};

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

Outline read_outline(const Json& record, const std::string& where) {
  const Json* v = find(record, "segmentation");
  if (!v) return {};
  if (v->is_array()) return {read_polygons(*v, where), {}};
  ATROUS_CHECK(v->is_object(), ErrorKind::data,
               "[{}] \"segmentation\" must be a list of polygons or {{\"size\", \"counts\"}}. Got {}.", where,
               shown(*v));
  return {{}, read_rle(*v, where)};
}

// Takes the outline's memory.
Rle mask_of(Outline& outline, const CocoImage& image, const std::string& where,
            internal::CocoBudget& budget) {
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

// By rising id, which must differ.
template <class Record>
void sort_by_id(std::vector<Record>& records, const char* what, const std::string& path) {
  std::ranges::stable_sort(records, {}, &Record::id);
  for (size_t i = 1; i < records.size(); ++i) {
    ATROUS_CHECK(records[i].id != records[i - 1].id, ErrorKind::data,
                 "[{}] ids of {} must differ. {} occurs twice.", path, what, records[i].id);
  }
}

template <class Record>
int64_t index_of(const std::vector<Record>& records, int64_t id) {
  const auto at = std::ranges::lower_bound(records, id, {}, &Record::id);
  return at == records.end() || at->id != id ? -1 : at - records.begin();
}

// Fills image and category from the ids that stand there.
template <class Record>
void resolve(Record& record, const CocoAnnotations& all, const std::string& where) {
  const int64_t image = all.find_image(record.image), category = all.find_category(record.category);
  ATROUS_CHECK(image >= 0, ErrorKind::data, "[{}] \"image_id\" must be one of the {} images of {}. Got {}.",
               where, all.images.size(), all.path, record.image);
  ATROUS_CHECK(category >= 0, ErrorKind::data,
               "[{}] \"category_id\" must be one of the {} categories of {}. Got {}. Are these class numbers "
               "instead of the category ids?",
               where, all.categories.size(), all.path, record.category);
  record.image = image;
  record.category = category;
}

// Results that number their images themselves would be scored against other images.
void check_same_image(const Json& record, const CocoAnnotations& all, const std::string& where) {
  const CocoImage image = read_image(record, where);
  const int64_t at = all.find_image(image.id);
  if (at < 0) return;  // a result that has it is refused
  const std::filesystem::path here = image.file_name, there = all.images[static_cast<size_t>(at)].file_name;
  ATROUS_CHECK(here.empty() || there.empty() || here.filename() == there.filename(), ErrorKind::data,
               "[{}] ids must mean the same images as in {}. Image {} is \"{}\" there, but \"{}\" here. "
               "`atrous eval --results` writes results with the data set's ids.",
               where, all.path, image.id, there.string(), here.string());
}

}  // namespace

int64_t CocoAnnotations::find_image(int64_t id) const {
  return index_of(images, id);
}
int64_t CocoAnnotations::find_category(int64_t id) const {
  return index_of(categories, id);
}

CocoAnnotations read_coco_annotations(const std::string& path, CocoMasks masks, const CocoLimits& limits) {
  CocoAnnotations all{.path = path, .images = {}, .categories = {}, .annotations = {}};
  std::vector<Outline> outlines;
  RecordReader reader(
      path, limits,
      {{"images",
        [&](const Json& r, const std::string& where) { all.images.push_back(read_image(r, where)); }},
       {"categories",
        [&](const Json& r, const std::string& where) {
          const int64_t id = whole(need(r, "id", where), "id", where);
          ATROUS_CHECK(static_cast<int64_t>(all.categories.size()) < limits.max_categories, ErrorKind::data,
                       "[{}] a file may have at most {} categories. It has more.", path,
                       limits.max_categories);
          all.categories.push_back({id, text_or(r, "name", fmt::format("category {}", id), where)});
        }},
       {"annotations", [&](const Json& r, const std::string& place) {
          CocoAnnotation a;
          a.id = whole(need(r, "id", place), "id", place);
          const std::string where = fmt::format("{}, id {}", place, a.id);
          a.image = whole(need(r, "image_id", where), "image_id", where);
          a.category = whole(need(r, "category_id", where), "category_id", where);
          a.has_box = read_box(r, a.box, where);
          a.area = finite(need(r, "area", where), "area", where);
          ATROUS_CHECK(a.area >= 0, ErrorKind::data, "[{}] \"area\" must not be negative. Got {}.", where,
                       a.area);
          a.crowd = flag(r, "iscrowd", where);
          a.difficult = flag(r, "difficult", where);
          // Kept until all sizes of images are known.
          outlines.push_back(read_outline(r, where));
          all.annotations.push_back(std::move(a));
        }}});
  reader.read();
  sort_by_id(all.images, "images", path);
  sort_by_id(all.categories, "categories", path);
  std::unordered_set<int64_t> ids;
  for (CocoAnnotation& a : all.annotations) {
    ATROUS_CHECK(ids.insert(a.id).second, ErrorKind::data,
                 "[{}] ids of annotations must differ. {} occurs twice.", path, a.id);
    resolve(a, all, fmt::format("{}: annotation {}", path, a.id));
  }
  internal::CocoBudget budget(limits, path);
  parallel_for(static_cast<int64_t>(outlines.size()), 64, [&](int64_t begin, int64_t end) {
    for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i) {
      CocoAnnotation& a = all.annotations[i];
      const bool drawn = masks == CocoMasks::keep || outlines[i].polygons.empty();
      if (outlines[i].empty() || !drawn) continue;
      Rle mask = mask_of(outlines[i], all.images[static_cast<size_t>(a.image)],
                         fmt::format("{}: annotation {}", path, a.id), budget);
      if (masks == CocoMasks::keep) a.mask = budget.keep(std::move(mask));
    }
  });
  return all;
}

std::vector<CocoResult> read_coco_results(const std::string& path, const CocoAnnotations& annotations,
                                          CocoMasks masks, const CocoLimits& limits) {
  struct Kept {
    bool has_box;
    Outline outline;
  };
  std::vector<CocoResult> results;
  std::vector<Kept> kept;
  const auto on_image = [&](const Json& r, const std::string& at) { check_same_image(r, annotations, at); };
  const auto on_result = [&](const Json& r, const std::string& where) {
    CocoResult result;
    result.image = whole(need(r, "image_id", where), "image_id", where);
    result.category = whole(need(r, "category_id", where), "category_id", where);
    ATROUS_CHECK(find(r, "score"), ErrorKind::data,
                 "[{}] a result must have \"score\". It has none. Is it an annotation file?", where);
    result.score = finite(r["score"], "score", where);
    resolve(result, annotations, where);
    const bool has_box = read_box(r, result.box, where);
    kept.push_back({has_box, read_outline(r, where)});
    const bool boxes = kept.front().has_box;
    ATROUS_CHECK(boxes ? has_box : !kept.back().outline.empty(), ErrorKind::data,
                 "[{}] must have \"{}\", since the first result {} a bbox. It has none.", where,
                 boxes ? "bbox" : "segmentation", boxes ? "has" : "lacks");
    results.push_back(std::move(result));
  };
  RecordReader(path, limits, on_result, on_image).read();
  internal::CocoBudget budget(limits, path);
  parallel_for(static_cast<int64_t>(results.size()), 64, [&](int64_t begin, int64_t end) {
    for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i) {
      CocoResult& r = results[i];
      const CocoImage& image = annotations.images[static_cast<size_t>(r.image)];
      const std::string where = fmt::format("{}: result {}", path, i);
      const bool boxes = kept.front().has_box;
      Outline& outline = kept[i].outline;
      Rle mask;
      if (!outline.empty() && (masks == CocoMasks::keep || !boxes || outline.polygons.empty())) {
        mask = mask_of(outline, image, where, budget);
      } else if (masks == CocoMasks::keep) {
        ATROUS_CHECK(image.height > 0, ErrorKind::data,
                     "[{}] a box as mask needs \"height\" and \"width\" of its image. Image {} has none.",
                     where, image.id);
        mask = rle_from_box(image.height, image.width, r.box, where);
      }
      r.area = boxes ? r.box.area() : static_cast<double>(rle_area(mask));
      if (!kept[i].has_box) r.box = rle_box(mask);
      if (masks == CocoMasks::keep) r.mask = budget.keep(std::move(mask));
    }
  });
  return results;
}

}  // namespace atrous::data
