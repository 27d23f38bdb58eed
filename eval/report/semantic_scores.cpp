#include "eval/report/semantic_scores.h"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "core/terminal.h"
#include "core/text.h"
#include "eval/boundary.h"
#include "eval/report/semantic_json.h"
#include "eval/semantic_metrics.h"

namespace atrous::eval {
namespace {

std::string cell(const std::optional<double>& v) {
  return v ? fmt::format("{:.4f}", *v) : "-";
}

std::vector<std::string> absent_classes(const SemanticScores& scores) {
  std::vector<std::string> names;
  for (const ClassScore& c : scores.per_class) {
    if (!c["iou"] && !c.excluded) names.push_back(c.name);
  }
  return names;
}

std::vector<std::string> excluded_classes(const SemanticScores& scores) {
  std::vector<std::string> names;
  for (const ClassScore& c : scores.per_class) {
    if (c.excluded) names.push_back(c.name);
  }
  return names;
}

std::string joined(const std::vector<std::string>& names) {
  return fmt::format("{}", fmt::join(names, ", "));
}

JsonValue images_to_json(const std::vector<ImageScore>& scores) {
  JsonValue images;
  images.kind = JsonValue::Kind::array;
  for (const ImageScore& i : scores) {
    JsonValue image = JsonValue::make_object();
    image["id"] = JsonValue::of(i.id);
    for (const auto source : {MetricSource::confusion, MetricSource::boundary}) {
      if (source != MetricSource::confusion) image["loss"] = JsonValue::of(i.loss);
      for (const SemanticMetric* m : semantic_metrics_in(shown_per_image)) {
        if (m->source == source) image[m->key] = JsonValue::of(i[m->key]);
      }
    }
    image["path"] = JsonValue::of(i.image_path);
    images.array.push_back(std::move(image));
  }
  return images;
}

void print_crf(std::FILE* out, const CrfScores& crf, const SemanticScores& after,
               const std::optional<double>& loss_after) {
  const auto row = [&](const char* name, const std::optional<double>& a, const std::optional<double>& b) {
    print_to(out, "{:<15} {:>7} {:>7} {:>8}\n", name, cell(a), cell(b),
             a && b ? fmt::format("{:+.4f}", *b - *a) : "-");
  };
  print_to(out, "\nCRF              before   after   change\n");
  for (const SemanticMetric* m : crf_metrics(3)) row(m->title, crf.before.scores[m->key], after[m->key]);
  row("cross-entropy", crf.before.loss, loss_after);
}

void print_means(std::FILE* out, const ScoresReport& report) {
  const SemanticScores& s = report.scores;
  print_to(out, "\n");
  for (const SemanticMetric& m : semantic_metrics()) {
    if (!m.value || !was_computed(m, s)) continue;
    const std::string remark = is_main(m) ? fmt::format("over {} of {}", s.classes_in_mean,
                                                        counted(std::ssize(s.per_class), "class", "classes"))
                                          : m.remark;
    print_to(out, "{:<15} {}{}{}\n", m.title, cell(s[m.key]), remark.empty() ? "" : "  ", remark);
  }
  if (report.loss) print_to(out, "cross-entropy   {}  per scored pixel\n", cell(report.loss));
}

}  // namespace

std::string crf_tiles_text(const CrfScores& crf, int64_t images) {
  if (crf.tiled_images == 0) return "";
  return fmt::format("{} of {} in up to {} parts, to stay within {} MiB: an approximation", crf.tiled_images,
                     counted(images, "image"), crf.most_tiles, crf.options.max_memory);
}

void print_scores(std::FILE* out, const ScoresReport& report) {
  const SemanticScores& s = report.scores;
  size_t width = 5;
  for (const ClassScore& c : s.per_class) width = std::max(width, c.name.size());
  print_to(out, "{:<{}} ", "class", width);
  for (const SemanticMetric& m : semantic_metrics()) {
    if (m.of_class.key) print_to(out, " {:>7}", m.of_class.short_title);
  }
  print_to(out, " {:>12} {:>12}\n", "labelled px", "predicted px");
  for (const ClassScore& c : s.per_class) {
    print_to(out, "{:<{}} ", c.name, width);
    for (const SemanticMetric& m : semantic_metrics()) {
      if (m.of_class.key) print_to(out, " {:>7}", cell(c[m.of_class.key]));
    }
    print_to(out, " {:>12} {:>12}\n", c.ground_truth, c.predicted);
  }
  if (s.pixels == 0) print_to(out, "\n{}\n", no_scored_pixel);
  if (s.pixels > 0) print_means(out, report);
  if (report.crf) {
    print_crf(out, *report.crf, s, report.loss);
    const std::string tiles = crf_tiles_text(*report.crf, report.images);
    if (!tiles.empty()) print_to(out, "tiles           {}\n", tiles);
  }
  const auto all = static_cast<double>(std::max<int64_t>(1, s.pixels + s.ignored_pixels));
  print_to(out, "\nscored          {} of {}; {} ignored ({:.2f} %)\n", counted(s.pixels, "pixel"),
           counted(report.images, "image"), s.ignored_pixels,
           100 * static_cast<double>(s.ignored_pixels) / all);
  const std::string absent = joined(absent_classes(s));
  print_to(out, "absent classes  {}\n",
           absent.empty() ? "none" : absent + " (neither labelled nor predicted: not in the means)");
  if (s.excluded_classes > 0)
    print_to(out, "excluded        {} (cannot occur in the labels: not in the means)\n",
             joined(excluded_classes(s)));
  print_to(out, "definition      one confusion matrix over the set; IoU = TP / (TP + FP + FN)\n");
  for (const auto& [name, text] : report.facts) print_to(out, "{:<15} {}\n", name, text);
}

std::string scores_json(const ScoresReport& report) {
  const SemanticScores& s = report.scores;
  JsonValue j = scores_to_json(s);
  for (const SemanticMetric& m : semantic_metrics()) {
    if (m.value) j[m.key] = JsonValue::of(s[m.key]);  // null if it was not computed
  }
  j["boundary_tolerance"] = JsonValue::of(boundary_tolerance);
  j["loss"] = JsonValue::of(report.loss);
  j["images"] = JsonValue::of(report.images);
  j["pixels"] = JsonValue::of(s.pixels);
  j["ignored_pixels"] = JsonValue::of(s.ignored_pixels);
  j["absent_classes"] = JsonValue::of(absent_classes(s));
  j["excluded_classes"] = JsonValue::of(excluded_classes(s));
  j["confusion"] = confusion_to_json(report.confusion);
  j["per_image"] = images_to_json(report.image_scores);
  if (report.crf) {
    JsonValue& crf = j["crf"];
    crf = crf_to_json(report.crf->options);
    crf["tiled_images"] = JsonValue::of(report.crf->tiled_images);
    crf["most_tiles"] = JsonValue::of(report.crf->most_tiles);
    JsonValue& before = crf["before"];
    before = scores_to_json(report.crf->before.scores);
    before["loss"] = JsonValue::of(report.crf->before.loss);
    before["confusion"] = confusion_to_json(report.crf->before.confusion);
    before["per_image"] = images_to_json(report.crf->before.images);
  }
  for (const auto& [name, text] : report.facts) j[fact_key(name)] = JsonValue::of(text);
  return to_text(j);
}

}  // namespace atrous::eval
