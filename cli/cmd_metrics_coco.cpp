// `atrous metrics coco`: scores detection results that any tool made.
#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "cli/commands.h"
#include "cli/report.h"
#include "core/atomic_file.h"
#include "core/error.h"
#include "data/coco_json.h"
#include "eval/coco_html.h"
#include "eval/coco_scores.h"
#include "eval/html.h"
#include "eval/voc_ap.h"

namespace atrous::cli {
namespace {

using Json = nlohmann::ordered_json;

struct Options {
  std::string gt, dt;
  std::string iou_type;
  bool per_class = false;
  std::string voc;
  std::string report_folder;
  Report report;
};

Json existing(double score) {
  return score < 0 ? Json(nullptr) : Json(score);
}

void print_table(std::FILE* out, const eval::CocoSummary& s, const Options& o) {
  for (size_t i = 0; i < s.stats.size(); ++i)
    fmt::print(out, " {} = {:0.3f}\n", eval::coco_stat_name(i), s.stats[i]);
  fmt::print(out,
             "\n{} {} and {} objects of {} images; of each image and class the first {} detections count\n",
             s.detections, o.iou_type == "bbox" ? "boxes" : "masks", s.objects, s.images,
             eval::coco::max_detections);
  fmt::print(out, "\n{:<16} {:>8}  {}\n", "error", "count", "points of AP50 if mended (TIDE's definitions)");
  for (size_t e = 1; e < eval::detection_errors; ++e) {
    fmt::print(out, "{:<16} {:>8}  {:+.1f}\n", name_of(static_cast<eval::DetectionError>(e)),
               s.errors[e].count, 100 * s.errors[e].ap_gain);
  }
}

void print_classes(std::FILE* out, const eval::CocoSummary& s) {
  size_t width = 5;
  for (const eval::CocoClassScores& c : s.classes) width = std::max(width, c.name.size());
  fmt::print(out, "\n{:<{}}  {:>7} {:>7} {:>7} {:>7} {:>7} {:>7} {:>7} {:>9} {:>10}\n", "class", width, "AP",
             "AP50", "AP75", "small", "medium", "large", "AR", "objects", "detections");
  for (const eval::CocoClassScores& c : s.classes) {
    fmt::print(out, "{:<{}} ", c.name, width);
    for (double score : {c.ap, c.ap50, c.ap75, c.ap_small, c.ap_medium, c.ap_large, c.ar})
      fmt::print(out, " {:>7}", score < 0 ? "-" : fmt::format("{:.3f}", score));
    fmt::print(out, " {:>9} {:>10}\n", c.objects, c.detections);
  }
}

void print_voc(std::FILE* out, const eval::VocSummary& s, const Options& o) {
  fmt::print(out, "\nVOC AP at IoU 0.5, {}: {}\n", o.voc == "11" ? "11 points" : "all points",
             s.mean_ap ? fmt::format("{:.4f}", *s.mean_ap) : "-");
  if (!o.per_class) return;
  for (const eval::VocClassScores& c : s.classes)
    fmt::print(out, "  {}  {}\n", c.ap ? fmt::format("{:.4f}", *c.ap) : "     -", c.name);
}

Json errors_json(const std::array<eval::DetectionErrorScore, eval::detection_errors>& errors) {
  Json j = Json::object();
  for (size_t e = 1; e < errors.size(); ++e)
    j[name_of(static_cast<eval::DetectionError>(e))] = {{"count", errors[e].count},
                                                        {"ap50_gain", errors[e].ap_gain}};
  return j;
}

Json voc_json(const eval::VocSummary& s, const std::string& rule) {
  const auto number = [](const std::optional<double>& v) { return v ? Json(*v) : Json(nullptr); };
  Json j{{"rule", rule}, {"mean_ap", number(s.mean_ap)}, {"per_class", Json::array()}};
  for (const eval::VocClassScores& c : s.classes)
    j["per_class"].push_back(
        {{"name", c.name}, {"ap", number(c.ap)}, {"objects", c.objects}, {"detections", c.detections}});
  return j;
}

std::string scores_text(const eval::CocoSummary& s, const std::optional<eval::VocSummary>& voc,
                        const Options& o) {
  Json j{{"stats", s.stats},
         {"iou_type", o.iou_type},
         {"images", s.images},
         {"objects", s.objects},
         {"detections", s.detections},
         {"annotations", o.gt},
         {"results", o.dt},
         {"per_class", Json::array()},
         {"pr_curves", Json::object()},
         {"errors", errors_json(s.errors)}};
  j["pr_curves"] = {{"recall", eval::coco::recall_points()}, {"classes", Json::array()}};
  for (const eval::CocoClassScores& c : s.classes) {
    j["per_class"].push_back({{"id", c.id},
                              {"name", c.name},
                              {"objects", c.objects},
                              {"detections", c.detections},
                              {"ap", existing(c.ap)},
                              {"ap50", existing(c.ap50)},
                              {"ap75", existing(c.ap75)},
                              {"ap_small", existing(c.ap_small)},
                              {"ap_medium", existing(c.ap_medium)},
                              {"ap_large", existing(c.ap_large)},
                              {"ar", existing(c.ar)},
                              {"errors", errors_json(c.errors)}});
    if (c.precision.empty()) continue;
    j["pr_curves"]["classes"].push_back({{"id", c.id},
                                         {"name", c.name},
                                         {"iou50", c.precision50},
                                         {"iou75", c.precision75},
                                         {"mean", c.precision}});
  }
  if (voc) j["voc"] = voc_json(*voc, o.voc);
  return j.dump(1, ' ', false, Json::error_handler_t::replace);
}

// VOC's corners are pixels that belong to the box: one of w x h pixels ends at x + w - 1, y + h - 1.
eval::VocBox corners(const data::CocoBox& b) {
  return {b.x, b.y, b.x + b.width - 1, b.y + b.height - 1};
}

eval::VocSummary voc_summary(const data::CocoAnnotations& annotations,
                             const std::vector<data::CocoResult>& results, const std::string& rule) {
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
  return scores.summary(rule == "11" ? eval::VocRule::eleven_points : eval::VocRule::all_points);
}

void write_report_page(const eval::CocoSummary& s, const std::string& scores, const Options& o) {
  make_output_folder(o.report_folder);
  const std::string what = o.iou_type == "bbox" ? "box" : "mask";
  write_file_atomically(o.report_folder + "/scores.json", scores + "\n");
  write_file_atomically(o.report_folder + "/report.html",
                        eval::page_head("COCO scores", fmt::format("{} against {}", o.dt, o.gt)) +
                            "<div class=\"cards\">\n" + eval::coco_cards(s, what) + "</div>\n" +
                            eval::coco_sections(s, what) + eval::page_end());
}

void run_coco(const Options& o) {
  const eval::IouType type = o.iou_type == "bbox" ? eval::IouType::bbox : eval::IouType::segm;
  const data::CocoMasks masks = type == eval::IouType::segm ? data::CocoMasks::keep : data::CocoMasks::skip;
  const data::CocoAnnotations annotations = data::read_coco_annotations(o.gt, masks);
  const std::vector<data::CocoResult> results = data::read_coco_results(o.dt, annotations, masks);
  if (std::any_of(annotations.annotations.begin(), annotations.annotations.end(),
                  [](const data::CocoAnnotation& a) { return a.id == 0; })) {
    fmt::print(stderr,
               "note: {} has an annotation with id 0. pycocotools counts whatever finds it as wrong, and so "
               "do these "
               "numbers. Number annotations from 1.\n",
               o.gt);
  }
  const eval::CocoSummary summary = eval::score_coco_results(annotations, results, type).summary();
  std::optional<eval::VocSummary> voc;
  if (!o.voc.empty()) voc = voc_summary(annotations, results, o.voc);
  print_table(o.report.table(), summary, o);
  if (o.per_class) print_classes(o.report.table(), summary);
  if (voc) print_voc(o.report.table(), *voc, o);
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
  command->add_option("--iou-type", o->iou_type, "bbox: boxes; segm: masks")
      ->required()
      ->check(CLI::IsMember({"bbox", "segm"}));
  command->add_flag("--per-class", o->per_class, "Also print the scores of each class");
  command->add_option("--voc", o->voc, "Also VOC AP of the boxes: 11 points (to 2009) or all (from 2010)")
      ->check(CLI::IsMember({"11", "all"}));
  command->add_option("--report", o->report_folder, "Folder for report.html and scores.json");
  o->report.add_option(*command);
  command->callback([o] { run_coco(*o); });
}

}  // namespace atrous::cli
