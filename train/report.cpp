#include "train/report.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <sstream>

#include "core/atomic_file.h"
#include "core/cpu.h"
#include "core/error.h"
#include "core/parallel.h"
#include "train/json_value.h"
#include "train/run_log.h"
#include "train/svg_chart.h"

namespace atrous::train {
namespace {

constexpr const char* style = R"(
:root { color-scheme: light dark; --fg: #1d2733; --soft: #66727f; --bg: #ffffff; --card: #f5f7f9; --line: #dfe4e9; --good: #1b7f5c; }
@media (prefers-color-scheme: dark) { :root { --fg: #e4e9ee; --soft: #93a0ad; --bg: #14181d; --card: #1d232a; --line: #323b45; --good: #4fc79b; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--fg); background: var(--bg); max-width: 1180px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; margin: 0; } h2 { font-size: 1.15rem; margin: 2.2rem 0 .7rem; }
.sub { color: var(--soft); margin: .2rem 0 1.2rem; }
.cards { display: flex; flex-wrap: wrap; gap: .8rem; }
.card { background: var(--card); border-radius: 10px; padding: .7rem 1.1rem; min-width: 8rem; }
.card b { display: block; font-size: 1.45rem; font-variant-numeric: tabular-nums; } .card span { color: var(--soft); font-size: .85rem; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 30rem), 1fr)); gap: 1rem; }
svg.chart, svg.confusion { background: var(--card); border-radius: 10px; width: 100%; }
svg text { fill: var(--soft); font: 11px system-ui, sans-serif; } svg .title { fill: var(--fg); font-weight: 600; font-size: 13px; }
svg .grid { stroke: var(--line); }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .3rem .7rem; border-bottom: 1px solid var(--line); } th:first-child, td:first-child { text-align: left; }
th { color: var(--soft); font-weight: 600; font-size: .85rem; }
.swatch { display: inline-block; width: .9rem; height: .9rem; border-radius: .2rem; margin-right: .5rem; vertical-align: -.1rem; border: 1px solid var(--line); }
.meter { display: inline-block; width: 7rem; height: .55rem; border-radius: .3rem; background: var(--line); vertical-align: middle; margin-left: .6rem; text-align: left; }
.meter i { display: block; height: 100%; border-radius: .3rem; background: var(--good); }
figure { margin: 0 0 1.2rem; } figure img { width: 100%; border-radius: 8px; image-rendering: auto; } figcaption { color: var(--soft); font-size: .85rem; }
pre { background: var(--card); border-radius: 10px; padding: 1rem; overflow-x: auto; font-size: .85rem; }
.confusion-box { max-width: 720px; }
)";

std::string file_content(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

double number_of(const JsonValue& object, const char* key) {
  const JsonValue* v = object.find(key);
  return v && v->is_number() ? v->number : std::numeric_limits<double>::quiet_NaN();
}

std::string text_of(const JsonValue& object, const char* key) {
  const JsonValue* v = object.find(key);
  return v ? v->string : "";
}

std::string percent(double share) {
  return std::isfinite(share) ? fmt::format("{:.1f}", 100 * share) : "–";
}

Series series_of(const std::vector<JsonValue>& lines, const char* key, const char* name, const char* color) {
  Series s{name, color, {}};
  for (const JsonValue& line : lines) {
    const double x = number_of(line, "step");
    if (line.find(key) && std::isfinite(x)) s.points.emplace_back(x, number_of(line, key));
  }
  return s;
}

std::string card(const std::string& value, const std::string& label) {
  return fmt::format("<div class=\"card\"><b>{}</b><span>{}</span></div>\n", escape_html(value),
                     escape_html(label));
}

std::string per_class_table(const JsonValue& best) {
  const JsonValue* rows = best.find("per_class");
  if (!rows) return "";
  std::string out =
      "<h2>Per class, best validation</h2>\n<table><tr><th>Class</th><th>IoU %</th><th></th><th>Recall "
      "%</th><th>Precision %</th>"
      "<th>Dice %</th><th>Labelled pixels</th><th>Predicted pixels</th></tr>\n";
  const JsonValue* colors = best.find("colors");
  for (size_t c = 0; c < rows->array.size(); ++c) {
    const JsonValue& row = rows->array[c];
    const std::string color = colors && c < colors->array.size() ? colors->array[c].string : "none";
    const double iou = number_of(row, "iou");
    const std::string meter =
        std::isfinite(iou)
            ? fmt::format("<span class=\"meter\"><i style=\"width:{:.0f}%\"></i></span>", 100 * iou)
            : "absent";
    out += fmt::format(
        "<tr><td><i class=\"swatch\" style=\"background:{}\"></i>{}</td><td>{}</td><td>{}</td><td>{}</td>"
        "<td>{}</td><td>{}</td><td>{:.0f}</td><td>{:.0f}</td></tr>\n",
        escape_html(color), escape_html(text_of(row, "name")), percent(iou), meter,
        percent(number_of(row, "accuracy")), percent(number_of(row, "precision")),
        percent(number_of(row, "dice")), number_of(row, "ground_truth"), number_of(row, "predicted"));
  }
  return out +
         "</table>\n<p class=\"sub\">Scores come from one confusion matrix over the whole validation set, at "
         "the size of the label files. "
         "A class that is in neither labels nor predictions is absent and left out of the mean.</p>\n";
}

// Rows: labelled class, columns: predicted class, colour and number: share of the row.
std::string confusion_picture(const JsonValue& best) {
  const JsonValue* counts = best.find("confusion");
  const JsonValue* classes = best.find("per_class");
  if (!counts || !classes || counts->array.size() != classes->array.size()) return "";
  const size_t k = counts->array.size();
  const double cell = std::max(14.0, std::min(40.0, 560.0 / static_cast<double>(k)));
  const double margin = 110;
  const double side = margin + cell * static_cast<double>(k) + 10;
  std::string out = fmt::format(
      "<h2>Confusion matrix</h2>\n<p class=\"sub\">Rows: labelled class; columns: predicted class; percent "
      "of the row.</p>\n"
      "<div class=\"confusion-box\"><svg class=\"confusion\" viewBox=\"0 0 {:.0f} {:.0f}\">\n",
      side + 70, side);  // the last slanted name hangs over
  for (size_t r = 0; r < k; ++r) {
    double total = 0;
    for (const JsonValue& v : counts->array[r].array) total += v.number;
    const std::string name = escape_html(text_of(classes->array[r], "name").substr(0, 16));
    const double center = margin + cell * (static_cast<double>(r) + 0.5);
    out += fmt::format(
        "<text x=\"{0:.1f}\" y=\"{1:.1f}\" text-anchor=\"end\">{2}</text><text "
        "transform=\"translate({1:.1f},{0:.1f}) rotate(-45)\">{2}</text>\n",
        margin - 6, center + 4, name);
    for (size_t c = 0; c < std::min(k, counts->array[r].array.size()); ++c) {
      const double share = total > 0 ? counts->array[r].array[c].number / total : 0;
      const double x = margin + cell * static_cast<double>(c);
      const double y = margin + cell * static_cast<double>(r);
      out += fmt::format(
          "<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" fill=\"{}\" "
          "fill-opacity=\"{:.3f}\"><title>{:.2f} %</title></rect>",
          x, y, cell - 1, cell - 1, r == c ? "#1f9d74" : "#d2573c", std::sqrt(share), 100 * share);
      if (share >= 0.005 && cell >= 22) {
        out += fmt::format(
            "<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\" style=\"fill:{}\">{:.0f}</text>",
            x + cell / 2, y + cell / 2 + 4, share > 0.35 ? "#fff" : "var(--fg)", 100 * share);
      }
    }
    out += "\n";
  }
  return out + "</svg></div>\n";
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
      "ignored pixels are left uncoloured).</p>\n";
  for (const auto& file : files) {
    out += fmt::format(
        "<figure><img alt=\"{0}\" src=\"data:image/png;base64,{1}\"><figcaption>{0}</figcaption></figure>\n",
        escape_html(file.stem().string()), base64(file_content(file.string())));
  }
  return out;
}

std::string environment_table() {
  std::string out = "<h2>Environment</h2>\n<table>\n";
  const auto row = [&](const char* name, const std::string& value) {
    out += fmt::format("<tr><td>{}</td><td>{}</td></tr>\n", name, escape_html(value));
  };
  row("CPU", cpu_model_name());
  row("Instruction set", name_of(cpu_isa()));
  row("Threads", std::to_string(num_threads()));
  row("Compiler", __VERSION__);
  return out + "</table>\n";
}

}  // namespace

void write_report(const std::string& folder) {
  const std::vector<JsonValue> lines = read_metrics(folder + "/metrics.jsonl");
  const std::string config = file_content(folder + "/config.json");
  JsonValue best = JsonValue::make_object();
  if (const std::string text = file_content(folder + "/best.json"); !text.empty())
    best = parse_json(text, folder + "/best.json");

  std::string name = "run";
  if (!config.empty()) {
    const JsonValue parsed = parse_json(config, folder + "/config.json");
    if (const JsonValue* model = parsed.find("model")) name = text_of(*model, "name");
  }
  std::string html = fmt::format(
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
      "content=\"width=device-width\">"
      "<title>{0}</title><style>{1}</style></head><body>\n<h1>{0}</h1>\n<p class=\"sub\">{2}</p>\n<div "
      "class=\"cards\">\n",
      escape_html(name), style, escape_html(std::filesystem::path(folder).lexically_normal().string()));
  if (best.find("miou")) {
    html += card(percent(number_of(best, "miou")) + " %",
                 fmt::format("mIoU over {:.0f} classes, step {:.0f}", number_of(best, "classes_in_mean"),
                             number_of(best, "step")));
    html += card(percent(number_of(best, "pixel_accuracy")) + " %", "pixel accuracy");
    html += card(percent(number_of(best, "mean_dice")) + " %", "mean Dice");
    html += card(fmt::format("{:.4f}", number_of(best, "val_loss")), "validation loss");
  }
  if (!lines.empty()) html += card(fmt::format("{:.0f}", number_of(lines.back(), "step")), "steps");
  html += "</div>\n<h2>Curves</h2>\n<div class=\"charts\">\n";
  const Series loss = series_of(lines, "loss", "training", "#3f7fd0");
  html += svg_chart("Loss", "step", {loss, series_of(lines, "val_loss", "validation", "#d2573c")});
  html += svg_chart("Validation scores", "step",
                    {series_of(lines, "miou", "mIoU", "#1f9d74"),
                     series_of(lines, "pixel_accuracy", "pixel accuracy", "#8a6fd1")});
  html += svg_chart("Learning rate", "step", {series_of(lines, "lr", "lr", "#3f7fd0")});
  html += svg_chart("Speed (images per second)", "step",
                    {series_of(lines, "images_per_second", "images/s", "#3f7fd0")});
  html += "</div>\n" + per_class_table(best) + confusion_picture(best) + sample_figures(folder);
  if (!config.empty())
    html += "<h2>Config</h2>\n<details><summary>All values</summary><pre>" + escape_html(config) +
            "</pre></details>\n";
  html += environment_table() + "</body></html>\n";
  write_file_atomically(folder + "/report.html", html);
}

}  // namespace atrous::train
