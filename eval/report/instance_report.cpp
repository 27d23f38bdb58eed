#include "eval/report/instance_report.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/atomic_file.h"
#include "core/text.h"
#include "data/image_io.h"
#include "eval/pictures.h"
#include "eval/report/coco_html.h"
#include "eval/report/coco_scores_json.h"
#include "eval/report/html.h"

namespace atrous::eval {
namespace {

constexpr int64_t shown_width = 1300;  // of pictures on the page
constexpr size_t listed = 200;         // rows of the table of images

std::string facts_section(const InstanceScoresReport& report) {
  Facts rows = report.facts;
  rows.emplace_back("AP",
                    "mean over classes and the IoUs 0.50, 0.55 ... 0.95 of the precision at 101 recalls; the "
                    "rules, and the bits, of pycocotools");
  rows.emplace_back("objects found in an image", fmt::format("detections with a score of at least {:g} "
                                                             "(eval.min_score); for AP all count",
                                                             report.min_score));
  rows.emplace_back("scored", fmt::format("{} with {}, {}", counted(report.result.images, "image"),
                                          counted(report.result.boxes.objects, "object"),
                                          counted(report.result.boxes.detections, "detection")));
  return facts_table(rows);
}

std::string worst_section(const std::string& folder, const InstanceScoresReport& report,
                          const std::vector<WorstInstances::Image>& worst) {
  if (worst.empty()) return "";
  std::string out = fmt::format(
      "<h2>Images with the most errors</h2>\n<p class=\"sub\">As annotated, and as found with a score of at "
      "least {:g}. An object and what found it, at an IoU of 0.5, have one colour. Red dashes mark errors: "
      "objects that were not found, and detections that found none (loc: localisation, cls: classification, "
      "dup: duplicate, bg: background). Pictures in full size are in <code>worst/</code> beside this page."
      "</p>\n",
      report.min_score);
  for (size_t i = 0; i < worst.size(); ++i) {
    const auto& [score, picture] = worst[i];
    const std::string name = "worst/" + picture_name(i + 1, score.id, "objects");
    data::write_png(folder + "/" + name, picture);
    out += fmt::format(
        "<h3>{}. {}</h3>\n<figure><a href=\"{}\">{}</a><figcaption>{} of {} not found, {} of {} wrong"
        "</figcaption></figure>\n",
        i + 1, escape_html(score.id), escape_html(name),
        inline_png(data::encode_png(shrunk(picture, shown_width)), score.id), score.not_found,
        counted(score.objects, "object"), score.wrong, counted(score.found, "detection"));
  }
  return out;
}

std::string image_table(std::vector<InstanceImageScore> images) {
  std::stable_sort(images.begin(), images.end(),
                   [](const auto& a, const auto& b) { return a.errors() > b.errors(); });
  const size_t shown = std::min(listed, images.size());
  std::string out = fmt::format(
      "<h2>Images, the most errors first</h2>\n<details><summary>{} of {}</summary>\n<table><tr>"
      "<th>Image</th><th>Objects</th><th>Not found</th><th>Detections</th><th>Wrong</th></tr>\n",
      shown, counted(std::ssize(images), "image"));
  for (size_t i = 0; i < shown; ++i) {
    const InstanceImageScore& s = images[i];
    out +=
        fmt::format("<tr><td title=\"{}\">{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>\n",
                    escape_html(s.image_path), escape_html(s.id), s.objects, s.not_found, s.found, s.wrong);
  }
  return out + "</table></details>\n";
}

}  // namespace

void WorstInstances::add(const InstanceImageScore& score, const std::function<Tensor()>& picture) {
  if (score.errors() == 0 || count_ == 0) return;
  if (kept_.size() == count_ && score.errors() <= kept_.back().score.errors()) return;
  const auto at = std::find_if(kept_.begin(), kept_.end(),
                               [&](const Image& i) { return i.score.errors() < score.errors(); });
  kept_.insert(at, {score, picture()});
  if (kept_.size() > count_) kept_.pop_back();
}

std::string scores_json(const InstanceScoresReport& report) {
  JsonValue out = JsonValue::make_object();
  const auto add = [&](const std::string& what, const CocoSummary& s) {
    out[what + "_ap"] = JsonValue::of(existing(s.ap()));
    out[what + "_ap50"] = JsonValue::of(existing(s.ap50()));
    out[what] = coco_to_json(s);
  };
  if (report.result.masks) add("mask", *report.result.masks);
  add("box", report.result.boxes);
  out["images"] = JsonValue::of(report.result.images);
  out["min_score"] = JsonValue::of(report.min_score);
  JsonValue& images = out["per_image"];
  images.kind = JsonValue::Kind::array;
  for (const InstanceImageScore& s : report.images) {
    JsonValue image = JsonValue::make_object();
    image["id"] = JsonValue::of(s.id);
    image["objects"] = JsonValue::of(s.objects);
    image["not_found"] = JsonValue::of(s.not_found);
    image["detections"] = JsonValue::of(s.found);
    image["wrong"] = JsonValue::of(s.wrong);
    image["path"] = JsonValue::of(s.image_path);
    images.array.push_back(std::move(image));
  }
  for (const auto& [name, text] : report.facts) out[fact_key(name)] = JsonValue::of(text);
  return to_text(out);
}

void write_instance_report(const std::string& folder, const InstanceScoresReport& report,
                           const std::vector<WorstInstances::Image>& worst) {
  prepare_worst_folder(folder);
  const InstanceEvaluation& result = report.result;
  std::string out = report_head(report.network, report.facts) + "<div class=\"cards\">\n";
  if (result.masks) out += coco_cards(*result.masks, "mask");
  out += coco_cards(result.boxes, "box") + coco_count_cards(result.boxes) + "</div>\n";
  out += facts_section(report);
  if (result.masks) out += coco_sections(*result.masks, "mask");
  out += coco_sections(result.boxes, "box");
  out += worst_section(folder, report, worst) + image_table(report.images) + page_end();
  write_file_atomically(folder + "/scores.json", scores_json(report) + "\n");
  write_file_atomically(folder + "/report.html", out);
}

}  // namespace atrous::eval
