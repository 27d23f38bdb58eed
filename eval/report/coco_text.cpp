#include "eval/report/coco_text.h"

#include <fmt/core.h>

#include <algorithm>

#include "core/terminal.h"
#include "core/text.h"
#include "eval/coco_metrics.h"

namespace atrous::eval {

std::string coco_score_text(double score) {
  return score < 0 ? "-" : fmt::format("{:.3f}", score);
}

void print_coco_stats(std::FILE* out, const CocoSummary& s, const char* absent) {
  for (size_t i = 0; i < s.stats.size(); ++i)
    print_to(out, " {} = {}\n", coco_stat_name(coco_metrics()[i]),
             s.stats[i] < 0 ? absent : coco_score_text(s.stats[i]));
  if (s.ap() < 0) print_to(out, "\n{}\n", no_scored_object);
  print_to(out, "\n{} and {} of {}; of each image and class the first {} detections count\n",
           counted(s.detections, "detection"), counted(s.objects, "object"), counted(s.images, "image"),
           coco::max_detections);
}

void print_coco_errors(std::FILE* out, const CocoSummary& s) {
  print_to(out, "\n{:<16} {:>8}  {}\n", "error", "count", "points of AP50 if mended (TIDE's definitions)");
  for (size_t e = 1; e < detection_errors; ++e) {
    const std::optional<double>& gain = s.errors[e].ap_gain;
    print_to(out, "{:<16} {:>8}  {}\n", name_of(static_cast<DetectionError>(e)), s.errors[e].count,
             gain ? fmt::format("{:+.1f}", 100 * *gain) : "-");
  }
}

void print_coco_classes(std::FILE* out, const CocoSummary& s) {
  size_t width = 5;
  for (const CocoClassScores& c : s.classes) width = std::max(width, c.name.size());
  print_to(out, "\n{:<{}} ", "class", width);
  for (const CocoMetric& m : coco_metrics()) {
    if (m.of_class) print_to(out, " {:>7}", m.column);
  }
  print_to(out, " {:>9} {:>10}\n", "objects", "detections");
  for (const CocoClassScores& c : s.classes) {
    print_to(out, "{:<{}} ", c.name, width);
    for (const CocoMetric& m : coco_metrics()) {
      if (m.of_class) print_to(out, " {:>7}", coco_score_text(c.*m.of_class));
    }
    print_to(out, " {:>9} {:>10}\n", c.objects, c.detections);
  }
}

void print_voc(std::FILE* out, const VocSummary& s, const std::string& rule, bool per_class) {
  print_to(out, "\nVOC AP at IoU 0.5, {}: {}\n", rule, s.mean_ap ? fmt::format("{:.4f}", *s.mean_ap) : "-");
  if (!per_class) return;
  for (const VocClassScores& c : s.classes)
    print_to(out, "  {}  {}\n", c.ap ? fmt::format("{:.4f}", *c.ap) : "     -", c.name);
}

}  // namespace atrous::eval
