// COCO's two kinds of files: annotations, and the results of a detector.
//
// Read are `images`, `categories` and `annotations` of the first, and the list that the second is. All
// else is skipped: `info`, `licenses`, keypoints, captions, other fields. Missing values are derived if they
// follow from the rest, and counted (CocoRepairs); a broken rule is an Error(data) that names the file,
// the record and the rule. A file is read as a stream, record by record; what is kept takes at most eight
// times its bytes, and 4 bytes per run of its masks: a few corners may enclose any number of columns.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/coco_repairs.h"
#include "data/rle.h"

namespace atrous::data {

class ClassMap;  // class_match.h

struct CocoLimits {
  int64_t max_file_bytes = int64_t{2} << 30;
  // Numbers, texts and lists of one record; its text is held in memory as a whole.
  int64_t max_values_per_record = int64_t{1} << 22;
  int64_t max_depth = 32;  // nesting of lists and objects
  // Runs of all masks that are kept, 4 bytes each. Some 200 per object are usual.
  int64_t max_runs = int64_t{1} << 30;
  // Pixel columns passed by the edges of all polygons, which is the work of filling them. COCO's largest
  // file has some 10^8; crossings may cancel, so a limit on runs alone does not bound the work.
  int64_t max_crossings = int64_t{1} << 32;
  int64_t max_categories = 65535;
};

struct CocoImage {
  int64_t id = 0;
  std::string file_name;  // empty if the file has none
  // 0 if the file has none; then there can be no masks.
  int64_t height = 0;
  int64_t width = 0;
};

struct CocoCategory {
  int64_t id = 0;
  std::string name;  // "category 7" if the file has none
};

struct CocoAnnotation {
  int64_t id = 0;
  int64_t image = 0;     // index into images
  int64_t category = 0;  // index into categories
  bool has_box = false;  // false only if the record has neither a bbox nor a segmentation
  // The box as written (that of a crowd in the official files is a pixel smaller than its mask); without a
  // bbox that of the mask.
  CocoBox box;
  // The area as written, often not that of the mask or box; if missing, that of the mask, else of the box.
  double area = 0;
  bool crowd = false;
  bool difficult = false;           // not COCO's, but converted VOC files have it
  bool empty_segmentation = false;  // the file has one without a polygon: [] or [[]]
  Rle mask;  // no counts: the file has none (no `segmentation`, null or []), or masks were not requested

  bool has_mask() const { return !mask.counts.empty(); }
};

struct CocoAnnotations {
  std::string path;
  std::vector<CocoImage> images;            // by rising id
  std::vector<CocoCategory> categories;     // by rising id
  std::vector<CocoAnnotation> annotations;  // in the order of the file, which decides ties
  CocoRepairs repairs = {};
  int64_t segmentations = 0;  // annotations of the file that have one, valid or not

  // Index of an id, or -1.
  int64_t find_image(int64_t id) const;
  int64_t find_category(int64_t id) const;
};

// Masks are checked in either case, polygons become masks only if they are kept.
enum class CocoMasks { keep, skip };

// Refused: COCO's panoptic format, whose masks are pictures; invalid JSON (also NaN and Infinity) or JSON
// nested too deeply; sections that are missing or not lists; records without an integer id; duplicate ids;
// unknown image or category ids; a negative or infinite area; a bbox that is not four finite numbers with
// sides >= 0; iscrowd other than 0 and 1; polygons of an odd number of coordinates or less than three
// corners; run lengths that do not add up; masks that are not of their image's size.
//
// With `faults`, every fault of every record is added to them and the record left out; only errors of the
// file as a whole are still thrown.
CocoAnnotations read_coco_annotations(const std::string& path, CocoMasks masks = CocoMasks::keep,
                                      const CocoLimits& limits = {},
                                      std::vector<std::string>* faults = nullptr);

// Notes for users of the annotations, a line each: the repairs; crowds, if most objects are crowds,
// with `crowd_remedy` as the remedy. Empty for most files.
std::vector<std::string> coco_notes(const CocoAnnotations& annotations, const std::string& crowd_remedy);
// Whether an annotation has the id 0, which pycocotools takes for "no object".
bool has_id_zero(const CocoAnnotations& annotations);

// The categories alone, by rising id, of a file that may lack everything else.
std::vector<CocoCategory> read_coco_categories(const std::string& path, const CocoLimits& limits = {});

struct CocoResult {
  int64_t image = 0;     // index into the annotations' images
  int64_t category = 0;  // index into their categories
  double score = 0;
  CocoBox box;
  double area = 0;
  Rle mask;  // no counts if masks were not requested
};

// Results of a detector on the images of `annotations`, in the order of the file. A file may be []. It may
// also be an object whose "annotations" are the results and whose "images" define the image ids,
// as `atrous predict` writes it: refused if one of these has another file name (without folders) in
// `annotations`. If it has "categories", as the files of `atrous predict` have, results belong to the
// category of the same name, whatever their ids are (class_match.h). An annotated category that they lack is
// scored as never detected, and results of a category that is not annotated are left out, as COCO's tools do:
// a note. Refused if each side has a category that the other lacks: names may be spelled in two ways, unless
// `map` maps those of the annotations to themselves. `notes` gets one line of text per note.
//
// As COCO's own tools do, the first result decides for all: if it has a bbox, all need one, areas are those
// of the boxes, and a result without a segmentation has its box as mask; if not, all need a segmentation,
// areas are those of the masks, and a missing bbox is that of the mask. Refused are also: results for unknown
// images or categories, and scores that are missing or not finite.
std::vector<CocoResult> read_coco_results(const std::string& path, const CocoAnnotations& annotations,
                                          CocoMasks masks = CocoMasks::keep, const CocoLimits& limits = {},
                                          std::vector<std::string>* notes = nullptr,
                                          const ClassMap* map = nullptr);

// Fields of each result in a file. COCO's tools take the area of a result from its box if there is one, also
// to sort masks by size: masks that should count by their own area are written without boxes.
enum class CocoFields { boxes, masks, both };

// A results file that any COCO tool can read. Ids are those of `annotations`; a mask is written if it has
// counts. Error(io).
void write_coco_results(const std::string& path, const CocoAnnotations& annotations,
                        const std::vector<CocoResult>& results, CocoFields fields = CocoFields::both);

// The meaning of ids in results, in COCO format: `images` (`id`, `file_name`, and `height` and `width` if
// known) and `categories` (`id`, `name`). Bytes of a name that are not UTF-8 become U+FFFD. Error(io).
void write_coco_images(const std::string& path, const CocoAnnotations& annotations);

}  // namespace atrous::data
