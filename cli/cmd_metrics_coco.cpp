// `atrous metrics coco`: scores detection results that any tool made.
#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <optional>

#include "cli/commands.h"
#include "cli/common_flags.h"
#include "core/atomic_file.h"
#include "core/error.h"
#include "core/output_folder.h"
#include "core/terminal.h"
#include "data/coco_categories.h"
#include "data/coco_json.h"
#include "eval/coco_scores.h"
#include "eval/report/coco_html.h"
#include "eval/report/coco_scores_json.h"
#include "eval/report/coco_text.h"
#include "eval/voc_ap.h"

namespace atrous::cli {
namespace {

struct Options {
  std::string gt, dt;
  eval::IouType iou_type = eval::IouType::bbox;
  bool per_class = false;
  bool strict_ids = false;
  std::optional<eval::VocRule> voc;
  std::vector<std::string> class_map;
  std::string report_folder;
  Report report;
};

std::string scores_text(const eval::CocoSummary& s, const std::optional<eval::VocSummary>& voc,
                        const Options& o) {
  JsonValue j = eval::coco_to_json(s);
  j["iou_type"] = JsonValue::of(name_of(o.iou_type));
  j["strict_ids"] = JsonValue::of(o.strict_ids);
  j["annotations"] = JsonValue::of(o.gt);
  j["results"] = JsonValue::of(o.dt);
  if (voc) j["voc"] = eval::voc_to_json(*voc, name_of(*o.voc));
  return to_text(j);
}

// VOC's corners are pixels that belong to the box: one of w x h pixels ends at x + w - 1, y + h - 1.
eval::VocBox corners(const data::CocoBox& b) {
  return {b.x, b.y, b.x + b.width - 1, b.y + b.height - 1};
}

eval::VocSummary voc_summary(const data::CocoAnnotations& annotations,
                             const std::vector<data::CocoResult>& results, eval::VocRule rule) {
  std::vector<std::vector<eval::VocObject>> objects(annotations.images.size());
  std::vector<std::vector<eval::VocDetection>> detections(annotations.images.size());
  for (const data::CocoAnnotation& a : annotations.annotations) {
    ATROUS_CHECK(a.has_box, ErrorKind::data,
                 "[{}: annotation {}] must have a \"bbox\" for --voc. It has none.", annotations.path, a.id);
    objects[static_cast<size_t>(a.image)].push_back({a.category, corners(a.box), a.difficult || a.crowd});
  }
  for (const data::CocoResult& r : results)
    detections[static_cast<size_t>(r.image)].push_back({r.category, r.score, corners(r.box)});
  std::vector<std::string> names;
  for (const data::CocoCategory& c : annotations.categories) names.push_back(c.name);
  eval::VocScores scores(std::move(names));
  for (size_t i = 0; i < objects.size(); ++i) scores.add(objects[i], detections[i]);
  return scores.summary(rule);
}

void write_report_page(const eval::CocoSummary& s, const std::string& scores, const Options& o) {
  make_output_folder(o.report_folder, "--report");
  const std::string what = o.iou_type == eval::IouType::bbox ? "box" : "mask";
  write_file_atomically(o.report_folder + "/scores.json", scores + "\n");
  write_file_atomically(o.report_folder + "/report.html",
                        eval::coco_page(s, what, fmt::format("{} against {}", o.dt, o.gt)));
}

// Computes both sets of numbers of a file with an annotation of id 0; returns the requested one.
eval::CocoSummary choose_id_zero(const data::CocoAnnotations& annotations,
                                 const std::vector<data::CocoResult>& results, eval::IouType type,
                                 const Options& o) {
  const eval::CocoSummary as_pycocotools =
      eval::score_coco_results(annotations, results, type, eval::IdZero::never_found).summary();
  if (!data::has_id_zero(annotations)) return as_pycocotools;
  eval::CocoSummary strict =
      eval::score_coco_results(annotations, results, type, eval::IdZero::any_other).summary();
  if (strict.ap() >= 0) {  // else there is no object
    print_to(stderr,
             "note: {} has an annotation with id 0, which pycocotools takes for \"no match\": a detection of "
             "it counts as wrong. AP is {} that way, and {} if it is treated like any other. These numbers "
             "are the {}. Number annotations from 1.\n",
             o.gt, eval::coco_score_text(as_pycocotools.ap()), eval::coco_score_text(strict.ap()),
             o.strict_ids ? "second (--strict-ids)" : "first; --strict-ids gives the second");
  }
  return o.strict_ids ? strict : as_pycocotools;
}

void run_coco(const Options& o) {
  const eval::IouType type = o.iou_type;
  const data::CocoMasks masks = type == eval::IouType::segm ? data::CocoMasks::keep : data::CocoMasks::skip;
  data::CocoAnnotations annotations = data::read_coco_annotations(o.gt, masks);
  std::vector<std::string> notes = data::coco_notes(annotations, "set iscrowd to 0.");
  const data::ClassMap map(o.class_map, "--class-map");
  for (std::string& note : data::apply_class_map(annotations, map, o.gt)) notes.push_back(std::move(note));
  const std::vector<data::CocoResult> results =
      data::read_coco_results(o.dt, annotations, masks, {}, &notes, &map);
  for (const std::string& note : notes) print_to(stderr, "{}\n", note);
  const eval::CocoSummary summary = choose_id_zero(annotations, results, type, o);
  std::optional<eval::VocSummary> voc;
  if (o.voc) voc = voc_summary(annotations, results, *o.voc);
  eval::print_coco_stats(o.report.table(), summary, "-1.000");
  eval::print_coco_errors(o.report.table(), summary);
  if (o.per_class) eval::print_coco_classes(o.report.table(), summary);
  if (voc) eval::print_voc(o.report.table(), *voc, fmt::format("{} points", *o.voc), o.per_class);
  if (!o.report.wants_json() && o.report_folder.empty()) return;
  const std::string scores = scores_text(summary, voc, o);
  if (!o.report_folder.empty()) write_report_page(summary, scores, o);
  o.report.write_json(scores);
}

}  // namespace

void add_metrics_coco_command(CLI::App& metrics) {
  CLI::App* command = metrics.add_subcommand(
      "coco", "Average precision and recall of boxes or masks, as pycocotools computes them");
  command->footer(
      "atrous metrics coco --gt instances_val2017.json --dt results.json --iou-type segm --json scores.json");
  auto o = std::make_shared<Options>();
  command->add_option("--gt", o->gt, "Annotations (COCO JSON)")->required();
  command
      ->add_option("--dt", o->dt,
                   "Results: a list with image_id, category_id, score, and bbox or segmentation")
      ->required();
  add_choice(*command, "--iou-type", o->iou_type, "bbox: boxes; segm: masks")->required();
  command->add_flag("--per-class", o->per_class, "Also print the scores of each class");
  command->add_flag(
      "--strict-ids", o->strict_ids,
      "Treat an annotation with id 0 like any other; otherwise, as in pycocotools, it is never matched");
  add_choice(*command, "--voc", o->voc, "Also VOC AP of the boxes: 11 points (to 2009) or all (from 2010)");
  command
      ->add_option("--class-map", o->class_map,
                   "Renames categories of the annotations to those of the results: NAME:THEIRS, NAME:ignore "
                   "to exclude one, NAME:NAME for one that the results lack; comma-separated")
      ->delimiter(',')
      ->type_name("MAP");
  command->add_option("--report", o->report_folder, "Folder for report.html and scores.json");
  o->report.add_option(*command);
  command->callback([o] { run_coco(*o); });
}

}  // namespace atrous::cli
