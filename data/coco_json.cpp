#include "data/coco_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <unordered_set>

#include "core/error.h"
#include "core/parallel.h"
#include "data/coco_budget.h"
#include "data/coco_categories.h"
#include "data/coco_fields.h"
#include "data/coco_records.h"

namespace atrous::data {
namespace {

using namespace internal;

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

// Fills the image from the id that stands there.
template <class Record>
void resolve_image(Record& record, const CocoAnnotations& all, const std::string& where) {
  const int64_t image = all.find_image(record.image);
  ATROUS_CHECK(image >= 0, ErrorKind::data, "[{}] \"image_id\" must be one of the {} images of {}. Got {}.",
               where, all.images.size(), all.path, record.image);
  record.image = image;
}

// The same for the category of an annotation.
void resolve(CocoAnnotation& record, const CocoAnnotations& all, const std::string& where) {
  resolve_image(record, all, where);
  const int64_t category = all.find_category(record.category);
  ATROUS_CHECK(category >= 0, ErrorKind::data,
               "[{}] \"category_id\" must be one of the {} categories of {}. Got {}. Are these class numbers "
               "instead of the category ids?",
               where, all.categories.size(), all.path, record.category);
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
          ATROUS_CHECK(static_cast<int64_t>(all.categories.size()) < limits.max_categories, ErrorKind::data,
                       "[{}] a file may have at most {} categories. It has more.", path,
                       limits.max_categories);
          all.categories.push_back(read_category(r, where));
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
  CocoBudget budget(limits, path);
  parallel_for(static_cast<int64_t>(outlines.size()), 64, [&](int64_t begin, int64_t end) {
    for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i) {
      CocoAnnotation& a = all.annotations[i];
      const bool drawn = masks == CocoMasks::keep || outlines[i].polygons.empty();
      if (outlines[i].empty() || !drawn) continue;
      Rle mask = outline_mask(outlines[i], all.images[static_cast<size_t>(a.image)],
                              fmt::format("{}: annotation {}", path, a.id), budget);
      if (masks == CocoMasks::keep) a.mask = budget.keep(std::move(mask));
    }
  });
  return all;
}

std::vector<CocoResult> read_coco_results(const std::string& path, const CocoAnnotations& annotations,
                                          CocoMasks masks, const CocoLimits& limits,
                                          std::vector<std::string>* notes) {
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
    resolve_image(result, annotations, where);
    const bool has_box = read_box(r, result.box, where);
    kept.push_back({has_box, read_outline(r, where)});
    const bool boxes = kept.front().has_box;
    ATROUS_CHECK(boxes ? has_box : !kept.back().outline.empty(), ErrorKind::data,
                 "[{}] must have \"{}\", since the first result {} a bbox. It has none.", where,
                 boxes ? "bbox" : "segmentation", boxes ? "has" : "lacks");
    results.push_back(std::move(result));
  };
  std::vector<CocoCategory> categories;
  const auto on_category = [&](const Json& r, const std::string& where) {
    ATROUS_CHECK(static_cast<int64_t>(categories.size()) < limits.max_categories, ErrorKind::data,
                 "[{}] a file may have at most {} categories. It has more.", path, limits.max_categories);
    categories.push_back(read_category(r, where));
  };
  RecordReader(path, limits, on_result, on_image, on_category).read();
  const std::vector<std::string> lines = resolve_categories(results, categories, annotations, path);
  if (notes) notes->insert(notes->end(), lines.begin(), lines.end());
  CocoBudget budget(limits, path);
  parallel_for(static_cast<int64_t>(results.size()), 64, [&](int64_t begin, int64_t end) {
    for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i) {
      CocoResult& r = results[i];
      const CocoImage& image = annotations.images[static_cast<size_t>(r.image)];
      const std::string where = fmt::format("{}: result {}", path, i);
      const bool boxes = kept.front().has_box;
      Outline& outline = kept[i].outline;
      Rle mask;
      if (!outline.empty() && (masks == CocoMasks::keep || !boxes || outline.polygons.empty())) {
        mask = outline_mask(outline, image, where, budget);
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
  std::erase_if(results, [](const CocoResult& r) { return r.category < 0; });
  return results;
}

}  // namespace atrous::data
