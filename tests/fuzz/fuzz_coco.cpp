// COCO's annotations and results.
#include <algorithm>

#include "data/coco_json.h"
#include "eval/coco_scores.h"
#include "harness.h"

using namespace atrous;
using data::CocoAnnotations;
using data::CocoMasks;
using data::CocoResult;

namespace {

data::CocoLimits small_limits() {
  data::CocoLimits limits;
  limits.max_crossings = 1 << 22;
  limits.max_runs = 1 << 22;
  return limits;
}

void check_mask(const data::Rle& mask, const data::CocoImage& image) {
  fuzz::require(image.height == 0 || (mask.height == image.height && mask.width == image.width),
                "a mask has the size of its image");
  int64_t sum = 0;
  for (const uint32_t run : mask.counts) sum += run;
  fuzz::require(sum == mask.height * mask.width, "run lengths add up to the size");
}

void check_annotations(const CocoAnnotations& a) {
  for (size_t i = 1; i < a.images.size(); ++i)
    fuzz::require(a.images[i - 1].id < a.images[i].id, "image ids rise");
  for (size_t i = 1; i < a.categories.size(); ++i)
    fuzz::require(a.categories[i - 1].id < a.categories[i].id, "category ids rise");
  for (const data::CocoAnnotation& o : a.annotations) {
    fuzz::require(o.image >= 0 && o.image < static_cast<int64_t>(a.images.size()),
                  "an object lies in an image");
    fuzz::require(o.category >= 0 && o.category < static_cast<int64_t>(a.categories.size()),
                  "an object has a category");
    if (o.has_mask()) check_mask(o.mask, a.images[static_cast<size_t>(o.image)]);
  }
}

// What is written is what was read: order, ids, scores, boxes and masks.
void check_written(const CocoAnnotations& a, const std::vector<CocoResult>& results,
                   const data::CocoLimits& limits) {
  const std::string& path = fuzz::file_with({}, "written.json");
  const bool has_masks =
      !results.empty() &&
      std::all_of(results.begin(), results.end(), [](const CocoResult& r) { return !r.mask.counts.empty(); });
  data::write_coco_results(path, a, results, has_masks ? data::CocoFields::both : data::CocoFields::boxes);
  const auto again = data::read_coco_results(path, a, has_masks ? CocoMasks::keep : CocoMasks::skip, limits);
  fuzz::require(again.size() == results.size(), "no result is lost");
  for (size_t i = 0; i < results.size(); ++i) {
    const CocoResult &r = results[i], &s = again[i];
    fuzz::require(r.image == s.image && r.category == s.category && r.score == s.score && r.box == s.box,
                  "results are read as they were written");
    fuzz::require(!has_masks || r.mask == s.mask, "masks are read as they were written");
  }
}

void check_scores(const CocoAnnotations& a, const std::vector<CocoResult>& results) {
  for (const eval::IouType type : {eval::IouType::bbox, eval::IouType::segm}) {
    fuzz::accepts({ErrorKind::data}, [&] {
      const eval::CocoSummary summary = eval::score_coco_results(a, results, type).summary();
      for (const double v : summary.stats)
        fuzz::require(v == -1 || (v >= 0 && v <= 1), "a score is in [0, 1], or there is none");
    });
  }
}

}  // namespace

// Annotations, a zero byte, results.
FUZZ_HARNESS(coco, bytes) {
  fuzz::Input input{bytes};
  const std::string annotations = input.take_text();
  const std::string& path = fuzz::file_with(fuzz::bytes_of(annotations), "annotations.json");
  const data::CocoLimits limits = small_limits();
  fuzz::accepts({ErrorKind::data}, [&] {
    const CocoAnnotations a = data::read_coco_annotations(path, CocoMasks::keep, limits);
    check_annotations(a);
    fuzz::require(
        data::read_coco_annotations(path, CocoMasks::skip, limits).annotations.size() == a.annotations.size(),
        "without masks there are as many objects");
    const std::string& results_path = fuzz::file_with(input.left, "results.json");
    for (const CocoMasks masks : {CocoMasks::keep, CocoMasks::skip}) {
      fuzz::accepts({ErrorKind::data}, [&] {
        const std::vector<CocoResult> results = data::read_coco_results(results_path, a, masks, limits);
        for (const CocoResult& r : results) {
          fuzz::require(r.image >= 0 && r.image < static_cast<int64_t>(a.images.size()),
                        "a result lies in an image");
          fuzz::require(r.category >= 0 && r.category < static_cast<int64_t>(a.categories.size()),
                        "a result has a category");
          if (!r.mask.counts.empty()) check_mask(r.mask, a.images.at(static_cast<size_t>(r.image)));
        }
        check_written(a, results, limits);
        check_scores(a, results);
      });
    }
  });
}
