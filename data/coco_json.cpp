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

template <class Record>
int64_t index_of(const std::vector<Record>& records, int64_t id) {
  const auto at = std::ranges::lower_bound(records, id, {}, &Record::id);
  return at == records.end() || at->id != id ? -1 : at - records.begin();
}

// The index of an id that a record names.
int64_t image_index(const CocoAnnotations& all, int64_t id, const std::string& where) {
  const int64_t image = all.find_image(id);
  ATROUS_CHECK(image >= 0, ErrorKind::data, "[{}] \"image_id\" must be one of the {} images of {}. Got {}.",
               where, all.images.size(), all.path, id);
  return image;
}
int64_t category_index(const CocoAnnotations& all, int64_t id, const std::string& where) {
  const int64_t category = all.find_category(id);
  ATROUS_CHECK(category >= 0, ErrorKind::data,
               "[{}] \"category_id\" must be one of the {} categories of {}. Got {}. Are these class numbers "
               "instead of the category ids?",
               where, all.categories.size(), all.path, id);
  return category;
}

// Results with image numbers of another file would be scored against the wrong images.
void check_same_image(const Json& record, const CocoAnnotations& all, const std::string& where) {
  Oddities odd;
  const CocoImage image = read_image(record, where, odd);
  const int64_t at = all.find_image(image.id);
  if (at < 0) return;  // a result for it is refused
  const std::string &here = image.file_name, &there = all.images[static_cast<size_t>(at)].file_name;
  // Without folders, which Windows separates by back slashes.
  const auto name = [](const std::string& file) { return file.substr(file.find_last_of("/\\") + 1); };
  ATROUS_CHECK(here.empty() || there.empty() || name(here) == name(there), ErrorKind::data,
               "[{}] ids must mean the same images as in {}. Image {} is \"{}\" there, but \"{}\" here. "
               "`atrous eval --results` writes results with the data set's ids.",
               where, all.path, image.id, there, here);
}

// An annotation file under construction.
class AnnotationFile {
 public:
  AnnotationFile(const std::string& path, CocoMasks masks, const CocoLimits& limits, const Faults& faults)
      : masks_(masks), limits_(limits), faults_(faults) {
    all_.path = path;
  }

  CocoAnnotations read() {
    read_records(all_.path, limits_,
                 {{"images", [&](const Json& r, const std::string& where) { image(r, where); }},
                  {"categories", [&](const Json& r, const std::string& where) { category(r, where); }},
                  {"annotations", [&](const Json& r, const std::string& where) { annotation(r, where); }}},
                 faults_);
    sort_by_id(all_.images, "images");
    sort_by_id(all_.categories, "categories");
    resolve();
    make_masks();
    complete();
    return std::move(all_);
  }

 private:
  // Values of an annotation that are needed only until it is complete.
  struct Draft {
    Outline outline;
    std::string place = {};  // only of a record without an id
    bool good = true;        // no fault so far
    bool has_area = false, box_from_mask = false, area_from_mask = false;
    // Whether the ids of image and category are known: otherwise the record is not checked further.
    bool has_image = false, has_category = false;
  };

  void image(const Json& r, const std::string& where) {
    Oddities odd;
    const bool good = faults_.attempt([&] { all_.images.push_back(read_image(r, where, odd)); });
    if (!good) lose(r, lost_images_);
    odd.count(all_.repairs);
  }

  void category(const Json& r, const std::string& where) {
    ATROUS_CHECK(static_cast<int64_t>(all_.categories.size()) < limits_.max_categories, ErrorKind::data,
                 "[{}] a file may have at most {} categories. It has more.", all_.path,
                 limits_.max_categories);
    Oddities odd;
    const bool good = faults_.attempt([&] { all_.categories.push_back(read_category(r, where, odd)); });
    if (!good) lose(r, lost_categories_);
    odd.count(all_.repairs);
  }

  // Notes the id of a faulty record, so that records which refer to it do not count as faults too.
  static void lose(const Json& r, std::unordered_set<int64_t>& lost) {
    Oddities odd;
    std::vector<std::string> unread;
    Faults(&unread).attempt([&] { lost.insert(id_of(r, "id", "", odd)); });
  }

  void annotation(const Json& r, const std::string& place) {
    // An error of the file, not of the record: none of its records is an object.
    ATROUS_CHECK(!find(r, "segments_info"), ErrorKind::data,
                 "[{}] annotations of objects must be in COCO's instance format. Got the panoptic format "
                 "(\"segments_info\"), whose masks are PNG files. Use the set's instances_*.json, or convert "
                 "the file: panopticapi's converters/panoptic2detection_coco_format.py.",
                 all_.path);
    CocoAnnotation a;
    Draft d;
    Oddities odd;
    std::string where = place;
    const auto attempt = [&](auto&& step) {
      const bool good = faults_.attempt(step);
      d.good &= good;
      return good;
    };
    if (attempt([&] { a.id = id_of(r, "id", place, odd); })) {
      where = fmt::format("{}, id {}", place, a.id);
    } else {
      d.place = place;
    }
    d.has_image = attempt([&] { a.image = id_of(r, "image_id", where, odd); });
    d.has_category = attempt([&] { a.category = id_of(r, "category_id", where, odd); });
    attempt([&] { a.has_box = read_box(r, a.box, where); });
    attempt([&] {
      const Json* area = find(r, "area");
      if (!area) return;
      a.area = finite(*area, "area", where);
      ATROUS_CHECK(a.area >= 0, ErrorKind::data, "[{}] \"area\" must not be negative. Got {}.", where,
                   a.area);
      d.has_area = true;
    });
    attempt([&] { a.crowd = flag(r, "iscrowd", where); });
    attempt([&] { a.difficult = flag(r, "difficult", where); });
    // Kept until all sizes of images are known.
    const bool outline_good = read_outline(r, d.outline, where, odd, faults_);
    d.good &= outline_good;
    const bool has_outline = !outline_good || !d.outline.empty();
    all_.segmentations += has_outline;
    const Json* segmentation = find(r, "segmentation");
    a.empty_segmentation = !has_outline && segmentation && segmentation->is_array();
    odd.count(all_.repairs);
    drafts_.push_back(std::move(d));
    all_.annotations.push_back(std::move(a));
  }

  // By rising id, which must differ.
  template <class Record>
  void sort_by_id(std::vector<Record>& records, const char* what) {
    std::ranges::stable_sort(records, {}, &Record::id);
    const auto twice = [&](const Record& a, const Record& b) {
      return a.id == b.id && !faults_.attempt([&] {
        fail(ErrorKind::data, "[{}] ids of {} must be unique. Duplicate id {}.", all_.path, what, a.id);
      });
    };
    records.erase(std::unique(records.begin(), records.end(), twice), records.end());
  }

  std::string where(const CocoAnnotation& a) const {
    return fmt::format("{}: annotation {}", all_.path, a.id);
  }

  // Ids become indices.
  void resolve() {
    std::unordered_set<int64_t> ids;
    for (size_t i = 0; i < drafts_.size(); ++i) {
      CocoAnnotation& a = all_.annotations[i];
      Draft& d = drafts_[i];
      const std::string place = d.place.empty() ? where(a) : d.place;
      const auto attempt = [&](auto&& step) { d.good &= faults_.attempt(step); };
      if (d.place.empty()) {
        attempt([&] {
          ATROUS_CHECK(ids.insert(a.id).second, ErrorKind::data,
                       "[{}] ids of annotations must be unique. Duplicate id {}.", all_.path, a.id);
        });
      }
      if (d.has_image && !lost_images_.contains(a.image)) {
        attempt([&] { a.image = image_index(all_, a.image, place); });
      } else {
        d.good = false;
      }
      if (d.has_category && !lost_categories_.contains(a.category)) {
        attempt([&] { a.category = category_index(all_, a.category, place); });
      } else {
        d.good = false;
      }
    }
  }

  void make_masks() {
    CocoBudget budget(limits_, all_.path);
    std::vector<std::vector<std::string>> faults(faults_.collects() ? drafts_.size() : 0);
    parallel_for(static_cast<int64_t>(drafts_.size()), 64, [&](int64_t begin, int64_t end) {
      for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i) {
        if (!drafts_[i].good) continue;
        const Faults here(faults_.collects() ? &faults[i] : nullptr);
        drafts_[i].good = here.attempt([&] { make_mask(drafts_[i], all_.annotations[i], budget); });
      }
    });
    for (std::vector<std::string>& of_one : faults) {
      for (std::string& fault : of_one) faults_.attempt([&] { throw Error(ErrorKind::data, fault); });
    }
  }

  void make_mask(Draft& d, CocoAnnotation& a, CocoBudget& budget) const {
    // Run lengths are checked in any case.
    const bool needed = masks_ == CocoMasks::keep || d.outline.polygons.empty() || !a.has_box || !d.has_area;
    if (d.outline.empty() || !needed) return;
    Rle mask = outline_mask(d.outline, all_.images[static_cast<size_t>(a.image)], where(a), budget);
    d.box_from_mask = !a.has_box;
    d.area_from_mask = !d.has_area;
    if (d.box_from_mask) a.box = rle_box(mask);
    if (d.area_from_mask) a.area = static_cast<double>(rle_area(mask));
    a.has_box = true;
    if (masks_ == CocoMasks::keep) a.mask = budget.keep(std::move(mask));
  }

  // Counts the derived values, and leaves out faulty records.
  void complete() {
    size_t kept = 0;
    for (size_t i = 0; i < drafts_.size(); ++i) {
      const Draft& d = drafts_[i];
      CocoAnnotation& a = all_.annotations[i];
      if (!d.good) continue;
      all_.repairs.boxes_from_masks += d.box_from_mask;
      all_.repairs.areas_from_masks += d.area_from_mask;
      if (!d.has_area && !d.area_from_mask && a.has_box) {
        a.area = a.box.area();
        ++all_.repairs.areas_from_boxes;
      }
      if (kept != i) all_.annotations[kept] = std::move(a);
      ++kept;
    }
    all_.annotations.resize(kept);
  }

  const CocoMasks masks_;
  const CocoLimits& limits_;
  const Faults& faults_;
  CocoAnnotations all_;
  std::vector<Draft> drafts_;  // as the annotations
  std::unordered_set<int64_t> lost_images_, lost_categories_;
};

}  // namespace

int64_t CocoAnnotations::find_image(int64_t id) const {
  return index_of(images, id);
}
int64_t CocoAnnotations::find_category(int64_t id) const {
  return index_of(categories, id);
}

CocoAnnotations read_coco_annotations(const std::string& path, CocoMasks masks, const CocoLimits& limits,
                                      std::vector<std::string>* faults) {
  const Faults sink(faults);
  return AnnotationFile(path, masks, limits, sink).read();
}

std::vector<CocoResult> read_coco_results(const std::string& path, const CocoAnnotations& annotations,
                                          CocoMasks masks, const CocoLimits& limits,
                                          std::vector<std::string>* notes, const ClassMap* map) {
  struct Kept {
    bool has_box;
    Outline outline;
  };
  std::vector<CocoResult> results;
  std::vector<Kept> kept;
  CocoRepairs repairs;
  const auto on_image = [&](const Json& r, const std::string& at) { check_same_image(r, annotations, at); };
  const auto on_result = [&](const Json& r, const std::string& where) {
    CocoResult result;
    Oddities odd;
    const int64_t image = id_of(r, "image_id", where, odd);
    result.category = id_of(r, "category_id", where, odd);
    ATROUS_CHECK(find(r, "score"), ErrorKind::data,
                 "[{}] a result must have \"score\". It has none. Is it an annotation file?", where);
    result.score = finite(r["score"], "score", where);
    result.image = image_index(annotations, image, where);
    const bool has_box = read_box(r, result.box, where);
    kept.push_back({has_box, {}});
    read_outline(r, kept.back().outline, where, odd, Faults());
    // A box would replace a mask that was meant to be empty.
    ATROUS_CHECK(!odd.empty_polygon, ErrorKind::data, "[{}] a polygon of a result must not be empty. Got [].",
                 where);
    odd.count(repairs);
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
    Oddities odd;
    categories.push_back(read_category(r, where, odd));
    odd.count(repairs);
  };
  read_result_records(path, limits, on_result, on_image, on_category);
  const std::vector<std::string> lines = resolve_categories(results, categories, annotations, path, map);
  if (notes) {
    for (const auto& some : {repairs.lines(path), lines})
      notes->insert(notes->end(), some.begin(), some.end());
  }
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
