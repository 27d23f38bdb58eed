#include "eval/report/coco_html.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "eval/coco_metrics.h"
#include "eval/report/html.h"
#include "eval/report/semantic_html.h"
#include "eval/report/svg_chart.h"

namespace atrous::eval {
namespace {

constexpr size_t charted = 100;  // classes with a separate chart

std::string cell(double score) {
  return fmt::format("<td>{}</td>", percent_text(existing(score)));
}

// The metric that is shown with a bar.
bool is_main(const CocoMetric& m) {
  return &m == &coco_metrics().front();
}

std::string stats_table(const CocoSummary& s, const std::string& what) {
  std::string out =
      fmt::format("<h2>COCO scores: {}</h2>\n<table><tr><th>Score</th><th>%</th></tr>\n", escape_html(what));
  for (size_t i = 0; i < s.stats.size(); ++i)
    out += fmt::format("<tr><td>{}</td>{}</tr>\n", escape_html(coco_stat_name(coco_metrics()[i])),
                       cell(s.stats[i]));
  return out +
         "</table>\n<p class=\"sub\">The rules of pycocotools. Means over the classes with objects; a dash: "
         "there are none of that size.</p>\n";
}

std::string class_table(const CocoSummary& s) {
  std::string out = "<h2>Per class</h2>\n<table><tr><th>Class</th>";
  for (const CocoMetric& m : coco_metrics()) {
    if (!m.of_class) continue;
    out += fmt::format("<th>{}{}</th>{}", m.column, m.area == 0 ? " %" : "", is_main(m) ? "<th></th>" : "");
  }
  out += "<th>Objects</th><th>Detections</th></tr>\n";
  for (const CocoClassScores& c : s.classes) {
    const std::string meter =
        c.ap < 0 ? "no objects"
                 : fmt::format("<span class=\"meter\"><i style=\"width:{:.0f}%\"></i></span>", 100 * c.ap);
    out += fmt::format("<tr><td>{}</td>", escape_html(c.name));
    for (const CocoMetric& m : coco_metrics()) {
      if (m.of_class) out += cell(c.*m.of_class) + (is_main(m) ? fmt::format("<td>{}</td>", meter) : "");
    }
    out += fmt::format("<td>{}</td><td>{}</td></tr>\n", c.objects, c.detections);
  }
  return out + "</table>\n";
}

std::string gain_text(const std::optional<double>& gain) {
  return gain ? fmt::format("{:+.1f}", 100 * *gain) : "–";
}

std::string error_table(const CocoSummary& s) {
  std::string out =
      "<h2>What errors cost</h2>\n<table><tr><th>Error</th><th class=\"text\">What it "
      "is</th><th>Count</th><th>AP50 if mended</th><th></th></tr>\n";
  for (size_t e = 1; e < detection_errors; ++e) {
    const auto error = static_cast<DetectionError>(e);
    out += fmt::format(
        "<tr><td>{}</td><td class=\"text\">{}</td><td>{}</td><td>{}</td><td><span class=\"meter\"><i "
        "style=\"width:"
        "{:.0f}%\"></i></span></td></tr>\n",
        name_of(error), meaning_of(error), s.errors[e].count, gain_text(s.errors[e].ap_gain),
        std::clamp(100 * s.errors[e].ap_gain.value_or(0), 0., 100.));
  }
  out +=
      "</table>\n<p class=\"sub\">Definitions of TIDE (Bolya et al. 2020), at IoU 0.5. Gains are points of "
      "AP50 if errors of that kind alone were mended; they do not add up.</p>\n<details><summary>By class "
      "(count, points of AP50)</summary>\n<table><tr><th>Class</th>";
  for (size_t e = 1; e < detection_errors; ++e)
    out += fmt::format("<th>{}</th>", name_of(static_cast<DetectionError>(e)));
  out += "</tr>\n";
  for (const CocoClassScores& c : s.classes) {
    out += fmt::format("<tr><td>{}</td>", escape_html(c.name));
    for (size_t e = 1; e < detection_errors; ++e)
      out += fmt::format("<td>{} ({})</td>", c.errors[e].count, gain_text(c.errors[e].ap_gain));
    out += "</tr>\n";
  }
  return out + "</table></details>\n";
}

Series curve(const char* name, const char* color, const std::vector<double>& precision) {
  static const auto recall = coco::recall_points();
  Series s{name, color, {}};
  for (size_t r = 0; r < precision.size(); ++r) s.points.emplace_back(recall[r], precision[r]);
  return s;
}

std::string charts(const CocoSummary& s) {
  CocoClassScores mean;
  size_t scored = 0, shown = 0;
  std::string by_class;
  for (const CocoClassScores& c : s.classes) {
    if (c.precision.empty()) continue;
    ++scored;
    for (const auto field :
         {&CocoClassScores::precision50, &CocoClassScores::precision75, &CocoClassScores::precision}) {
      (mean.*field).resize(coco::recalls);
      for (size_t r = 0; r < coco::recalls; ++r) (mean.*field)[r] += (c.*field)[r];
    }
  }
  if (scored == 0) return "";
  const auto chart = [](const std::string& title, const CocoClassScores& c) {
    return svg_chart(title, "recall",
                     {curve("IoU 0.50", "#1f9d74", c.precision50), curve("0.75", "#3f7fd0", c.precision75),
                      curve("0.50:0.95", "#d2573c", c.precision)},
                     {0, 1});
  };
  for (const auto field :
       {&CocoClassScores::precision50, &CocoClassScores::precision75, &CocoClassScores::precision}) {
    for (double& v : mean.*field) v /= static_cast<double>(scored);
  }
  std::string out =
      "<h2>Precision by recall</h2>\n<div class=\"charts\">\n" + chart("Mean over classes", mean);
  for (const CocoClassScores& c : s.classes) {
    if (c.precision.empty() || ++shown > charted) continue;
    out += chart(fmt::format("{}: AP {} %", c.name, percent_text(existing(c.ap))), c);
  }
  out += "</div>\n";
  if (shown > charted)
    out += fmt::format("<p class=\"sub\">The first {} of {} classes; scores.json holds all.</p>\n", charted,
                       scored);
  return out;
}

}  // namespace

std::string coco_cards(const CocoSummary& s, const std::string& what) {
  std::string out;
  for (size_t i = 0; i < s.stats.size(); ++i) {
    const CocoMetric& m = coco_metrics()[i];
    if (m.card) out += percent_card(existing(s.stats[i]), fmt::format("{} {}", what, m.title));
  }
  return out;
}

std::string coco_count_cards(const CocoSummary& s) {
  return card(fmt::format("{}", s.objects), "objects") + card(fmt::format("{}", s.detections), "detections") +
         card(fmt::format("{}", s.images), "images");
}

std::string coco_sections(const CocoSummary& s, const std::string& what) {
  return (s.ap() < 0 ? fmt::format("<p>{}: {}.</p>\n", escape_html(what), no_scored_object) : "") +
         stats_table(s, what) + error_table(s) + class_table(s) + charts(s);
}

std::string coco_page(const CocoSummary& s, const std::string& what, const std::string& sub) {
  return page_head("COCO scores", sub) + "<div class=\"cards\">\n" + coco_cards(s, what) +
         coco_count_cards(s) + "</div>\n" + coco_sections(s, what) + page_end();
}

}  // namespace atrous::eval
