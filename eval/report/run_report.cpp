#include "eval/report/run_report.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <limits>

#include "core/atomic_file.h"
#include "core/cpu.h"
#include "core/error.h"
#include "core/file.h"
#include "core/json_value.h"
#include "core/parallel.h"
#include "eval/classification_metrics.h"
#include "eval/coco_metrics.h"
#include "eval/report/classification_report.h"
#include "eval/report/coco_html.h"
#include "eval/report/coco_scores_json.h"
#include "eval/report/html.h"
#include "eval/report/semantic_html.h"
#include "eval/report/semantic_json.h"
#include "eval/report/svg_chart.h"
#include "eval/semantic_metrics.h"
#include "eval/validation_metrics.h"

namespace atrous::eval {
namespace {

std::string file_content(const std::string& path) {
  return read_file_if_present(path).value_or("");
}

double number_of(const JsonValue& object, const char* key) {
  const JsonValue* v = object.find(key);
  return v && v->is_number() ? v->number : std::numeric_limits<double>::quiet_NaN();
}

std::string text_of(const JsonValue& object, const char* key) {
  const JsonValue* v = object.find(key);
  return v ? v->string : "";
}

Series series_of(const std::vector<JsonValue>& lines, const char* key, const char* name, const char* color) {
  Series s{name, color, {}};
  for (const JsonValue& line : lines) {
    const double x = number_of(line, "step");
    if (line.find(key) && std::isfinite(x)) s.points.emplace_back(x, number_of(line, key));
  }
  return s;
}

// A run has the metrics of one kind of network, so all start with the first colour.
std::vector<Series> score_curves(const std::vector<JsonValue>& lines) {
  constexpr std::array<const char*, 4> colors = {"#1f9d74", "#8a6fd1", "#3f7fd0", "#d2573c"};
  std::vector<Series> curves;
  size_t next = 0;
  const auto add = [&](const std::string& key, const std::string& title) {
    curves.push_back(series_of(lines, key.c_str(), title.c_str(), colors[next++ % colors.size()]));
  };
  for (const SemanticMetric* m : semantic_metrics_in(shown_curve)) add(m->key, m->title);
  next = 0;
  for (const std::string what : {"mask", "box"}) {
    for (const CocoMetric& m : coco_metrics()) {
      if (m.curve) add(what + "_" + m.key, what + " " + m.title);
    }
  }
  for (const ClassificationMetric& m : classification_metrics())
    curves.push_back(series_of(lines, m.key, m.title, m.color));
  return curves;
}

// "expected" of the config beside the scores that the run has reached, as check_expectations compares them.
std::string expectations(const JsonValue& config, const JsonValue& best) {
  const JsonValue* expected = config.find("expected");
  if (!expected || expected->object.empty()) return "";
  std::string out =
      "<h2>Expected</h2>\n<table><tr><th>Score</th><th>Expected</th><th>At least</th><th>Best validation</th>"
      "<th></th></tr>\n";
  for (const auto& [metric, target] : expected->object) {
    if (target.array.size() != 2) continue;
    const Better better = better_of(metric);
    const double wanted = target.array[0].number, tolerance = target.array[1].number;
    const double least = worst_accepted(better, wanted, tolerance);
    const double score = number_of(best, metric.c_str());
    const bool reached = meets(better, score, wanted, tolerance);  // false without a validation
    out += fmt::format(
        "<tr><td>{}</td><td>{:.4f}</td><td>{:.4f}</td><td>{}</td><td class=\"{}\">{}</td></tr>\n",
        escape_html(metric), wanted, least, std::isfinite(score) ? fmt::format("{:.4f}", score) : "–",
        reached ? "good" : "bad", reached ? "reached" : "not reached");
  }
  return out + "</table>\n";
}

std::string best_validation(const JsonValue& best, const SemanticScores& scores) {
  if (scores.per_class.empty()) return "";
  std::vector<std::string> colors;
  if (const JsonValue* given = best.find("colors")) {
    for (const JsonValue& color : given->array) colors.push_back(color.string);
  }
  std::string out = per_class_section(scores, colors, "Per class, best validation");
  const JsonValue* counts = best.find("confusion");
  if (!counts || counts->array.size() != scores.per_class.size()) return out;
  return out + confusion_section(confusion_from_json(*counts), names_of(scores));
}

// Cards and sections of a detector: best.json has "box" and, with masks, "mask".
std::vector<std::pair<std::string, CocoSummary>> coco_scores(const JsonValue& best) {
  std::vector<std::pair<std::string, CocoSummary>> found;
  for (const char* what : {"mask", "box"}) {
    if (const JsonValue* scores = best.find(what)) found.emplace_back(what, coco_from_json(*scores));
  }
  return found;
}

std::string sample_figures(const std::string& folder) {
  std::vector<std::filesystem::path> files;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(folder + "/samples", ignored)) {
    if (entry.path().extension() == ".png") files.push_back(entry.path());
  }
  if (files.empty()) return "";
  std::sort(files.begin(), files.end());
  std::string out =
      "<h2>Samples of the validation set</h2>\n<p class=\"sub\">Image, label, prediction (latest validation; "
      "ignored pixels are left uncoloured); for detectors objects as annotated and as found; for "
      "classification "
      "the image with its class and the predicted one.</p>\n";
  for (const auto& file : files) {
    out +=
        fmt::format("<figure>{1}<figcaption>{0}</figcaption></figure>\n", escape_html(file.stem().string()),
                    inline_png(file_content(file.string()), file.stem().string()));
  }
  return out;
}

std::string environment_table(const std::vector<JsonValue>& lines, const JsonValue& config) {
  std::string out = "<h2>Environment</h2>\n<table>\n";
  const auto row = [&](const char* name, const std::string& value) {
    out += fmt::format("<tr><td>{}</td><td>{}</td></tr>\n", name, escape_html(value));
  };
  if (!lines.empty()) row("Device", text_of(lines.back(), "device"));
  row("Arithmetic (math)", text_of(config, "math"));
  row("CPU", cpu_model_name());
  row("Instruction set", name_of(cpu_isa()));
  row("Threads", std::to_string(num_threads()));
  row("Compiler", __VERSION__);
  return out + "</table>\n";
}

}  // namespace

void write_run_report(const std::string& folder, const std::string& network,
                      const std::vector<JsonValue>& lines) {
  const std::string config = file_content(folder + "/config.json");
  JsonValue best = JsonValue::make_object();
  if (const std::string text = file_content(folder + "/best.json"); !text.empty())
    best = parse_json(text, folder + "/best.json");

  JsonValue parsed = JsonValue::make_object();
  if (!config.empty()) parsed = parse_json(config, folder + "/config.json");
  std::string html = page_head(network, std::filesystem::path(folder).lexically_normal().string()) +
                     "<div class=\"cards\">\n";
  const SemanticScores scores = scores_from_json(best);
  if (best.find(semantic_metrics().front().key)) {
    html += semantic_cards(scores, shown_training_card,
                           fmt::format("classes, step {:.0f}", number_of(best, "step")));
    const double loss = number_of(best, "val_loss");
    if (std::isfinite(loss)) html += card(fmt::format("{:.4f}", loss), "validation loss");
  }
  const auto coco = coco_scores(best);
  for (const auto& [what, summary] : coco) html += coco_cards(summary, what);
  if (!coco.empty()) html += coco_count_cards(coco.front().second);
  const JsonValue* classified = best.find("classification");
  if (classified) html += classification_cards(classification_from_json(*classified));
  if (!lines.empty()) html += card(fmt::format("{:.0f}", number_of(lines.back(), "step")), "steps");
  html += "</div>\n" + expectations(parsed, best) + "<h2>Curves</h2>\n<div class=\"charts\">\n";
  const Series loss = series_of(lines, "loss", "training", "#3f7fd0");
  html += svg_chart("Loss", "step", {loss, series_of(lines, "val_loss", "validation", "#d2573c")});
  html += svg_chart("Validation scores", "step", score_curves(lines));
  html += svg_chart("Learning rate", "step", {series_of(lines, "lr", "lr", "#3f7fd0")});
  html += svg_chart("Speed (images per second)", "step",
                    {series_of(lines, "images_per_second", "images/s", "#3f7fd0")});
  html += "</div>\n" + best_validation(best, scores);
  for (const auto& [what, summary] : coco_scores(best)) html += coco_sections(summary, what);
  if (classified)
    html += classification_sections(classification_from_json(*classified), "Per class, best validation");
  html += sample_figures(folder);
  if (!config.empty())
    html += "<h2>Config</h2>\n<details><summary>All values</summary><pre>" + escape_html(config) +
            "</pre></details>\n";
  html += environment_table(lines, parsed) + page_end();
  write_file_atomically(folder + "/report.html", html);
}

}  // namespace atrous::eval
