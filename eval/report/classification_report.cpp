#include "eval/report/classification_report.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/atomic_file.h"
#include "core/terminal.h"
#include "core/text.h"
#include "data/image_io.h"
#include "eval/pictures.h"
#include "eval/report/html.h"
#include "eval/report/semantic_html.h"
#include "eval/report/semantic_json.h"

namespace atrous::eval {
namespace {

constexpr int64_t shown_width = 400;  // of pictures on the page
constexpr size_t listed = 200;        // rows of the table of images

std::string cell(const std::optional<double>& v) {
  return v ? fmt::format("{:.4f}", *v) : "-";
}

int64_t count_in(const JsonValue& object, const char* key) {
  const JsonValue* v = object.find(key);
  return v ? v->integer : 0;
}

std::string name_at(const ClassificationScores& scores, int64_t k) {
  return scores.classes[static_cast<size_t>(k)].name;
}

std::string verdict(const ClassificationScores& scores, const ClassifiedImageScore& s) {
  return fmt::format("{} ({:.1f} %), predicted {} ({:.1f} %)", name_at(scores, s.label), 100 * s.probability,
                     name_at(scores, s.predicted), 100 * s.predicted_probability);
}

std::string worst_section(const std::string& folder, const ClassificationReport& report,
                          const std::vector<WorstClassified::Image>& worst) {
  if (worst.empty()) return "";
  std::string out =
      "<h2>Worst images</h2>\n<p class=\"sub\">Wrong images whose own class has the lowest probability. "
      "Pictures in full size are in <code>worst/</code> beside this page.</p>\n<div class=\"quad\">";
  for (size_t i = 0; i < worst.size(); ++i) {
    const auto& [score, image] = worst[i];
    const std::string name = "worst/" + picture_name(i + 1, score.id, "image");
    const Tensor picture = as_picture(image);
    data::write_png(folder + "/" + name, picture);
    out +=
        fmt::format("<figure><a href=\"{}\">{}</a><figcaption>{}. {}: {}</figcaption></figure>\n",
                    escape_html(name), inline_png(data::encode_png(shrunk(picture, shown_width)), score.id),
                    i + 1, escape_html(score.id), escape_html(verdict(report.scores, score)));
  }
  return out + "</div>\n";
}

std::string image_table(const ClassificationReport& report) {
  std::vector<ClassifiedImageScore> order = report.images;
  std::stable_sort(order.begin(), order.end(),
                   [](const auto& a, const auto& b) { return a.probability < b.probability; });
  const size_t shown = std::min(listed, order.size());
  std::string out = fmt::format(
      "<h2>Images, the worst first</h2>\n<details><summary>{} of {}</summary>\n<table><tr><th>Image</th>"
      "<th class=\"text\">Class</th><th>Probability %</th><th>Place</th><th class=\"text\">Predicted</th>"
      "<th>Probability %</th></tr>\n",
      shown, counted(std::ssize(order), "image"));
  for (size_t i = 0; i < shown; ++i) {
    const ClassifiedImageScore& s = order[i];
    out += fmt::format(
        "<tr><td title=\"{}\">{}</td><td class=\"text\">{}</td><td>{:.1f}</td><td>{}</td><td "
        "class=\"text\">{}</td><td>{:.1f}</td></tr>\n",
        escape_html(s.path), escape_html(s.id), escape_html(name_at(report.scores, s.label)),
        100 * s.probability, s.rank + 1, escape_html(name_at(report.scores, s.predicted)),
        100 * s.predicted_probability);
  }
  return out + "</table></details>\n";
}

std::string facts_section(const ClassificationReport& report) {
  Facts rows = report.facts;
  for (const ClassificationMetric& m : classification_metrics()) rows.emplace_back(m.title, m.definition);
  return facts_table(rows);
}

}  // namespace

JsonValue classification_to_json(const ClassificationScores& scores) {
  JsonValue out = JsonValue::make_object();
  for (const ClassificationMetric& m : classification_metrics()) out[m.key] = JsonValue::of(m.value(scores));
  out["loss"] = JsonValue::of(scores.loss());
  out["images"] = JsonValue::of(scores.images);
  JsonValue& rows = out["per_class"];
  rows.kind = JsonValue::Kind::array;
  for (const auto& c : scores.classes) {
    JsonValue row = JsonValue::make_object();
    row["name"] = JsonValue::of(c.name);
    row["accuracy"] = JsonValue::of(c.accuracy());
    row["top5"] = JsonValue::of(c.top5_share());
    row["images"] = JsonValue::of(c.images);
    row["top1_images"] = JsonValue::of(c.top1);
    row["top5_images"] = JsonValue::of(c.top5);
    row["predicted"] = JsonValue::of(c.predicted);
    rows.array.push_back(std::move(row));
  }
  if (scores.classes.size() <= most_confusion_classes)
    out["confusion"] = confusion_to_json(confusion_matrix(scores));
  return out;
}

ClassificationScores classification_from_json(const JsonValue& json) {
  ClassificationScores scores;
  scores.images = count_in(json, "images");
  if (const JsonValue* loss = json.find("loss"); loss && loss->is_number())
    scores.loss_sum = loss->number * static_cast<double>(scores.images);
  if (const JsonValue* rows = json.find("per_class")) {
    for (const JsonValue& row : rows->array) {
      const JsonValue* name = row.find("name");
      scores.classes.push_back({.name = name ? name->string : "",
                                .images = count_in(row, "images"),
                                .predicted = count_in(row, "predicted"),
                                .top1 = count_in(row, "top1_images"),
                                .top5 = count_in(row, "top5_images")});
    }
  }
  const JsonValue* counts = json.find("confusion");
  if (!counts || counts->array.size() != scores.classes.size()) return scores;
  const ConfusionMatrix matrix = confusion_from_json(*counts);
  for (int64_t r = 0; r < matrix.num_classes(); ++r) {
    for (int64_t c = 0; c < matrix.num_classes(); ++c) {
      if (matrix.at(r, c) > 0) scores.confusion[{r, c}] = matrix.at(r, c);
    }
  }
  return scores;
}

std::string classification_cards(const ClassificationScores& scores) {
  std::string out;
  for (const ClassificationMetric& m : classification_metrics())
    out += percent_card(m.value(scores), m.title);
  if (const auto loss = scores.loss()) out += card(fmt::format("{:.4f}", *loss), "cross-entropy");
  return out + card(std::to_string(scores.images), "images");
}

std::string classification_sections(const ClassificationScores& scores, const std::string& heading) {
  std::string out = fmt::format(
      "<h2>{}</h2>\n<table><tr><th>Class</th><th>Accuracy %</th><th></th><th>Top-5 %</th><th>Images</th>"
      "<th>Predicted</th></tr>\n",
      escape_html(heading));
  for (const auto& c : scores.classes) {
    const auto accuracy = c.accuracy();
    out += fmt::format("<tr><td>{}</td><td>{}</td>", escape_html(c.name), percent_text(accuracy));
    out += accuracy ? fmt::format("<td><span class=\"meter\"><i style=\"width:{:.0f}%\"></i></span></td>",
                                  100 * *accuracy)
                    : "<td>no images</td>";
    out += fmt::format("<td>{}</td><td>{}</td><td>{}</td></tr>\n", percent_text(c.top5_share()), c.images,
                       c.predicted);
  }
  out += "</table>\n";
  if (scores.classes.size() > most_confusion_classes)
    return out +
           fmt::format("<p class=\"sub\">The confusion matrix of more than {} classes is left out.</p>\n",
                       most_confusion_classes);
  return out + confusion_section(confusion_matrix(scores), scores.names(), "images");
}

ClassifiedImageScore score_of(const data::ClassifiedImage& image, std::span<const double> probabilities) {
  const int64_t best = top_classes(probabilities, 1).front();
  return {image.id,
          image.image_path,
          image.label,
          best,
          rank_of(probabilities, image.label),
          probabilities[static_cast<size_t>(image.label)],
          probabilities[static_cast<size_t>(best)]};
}

void WorstClassified::add(const ClassifiedImageScore& score, const Tensor& picture) {
  if (count_ == 0 || score.rank == 0) return;
  const auto at = std::upper_bound(kept_.begin(), kept_.end(), score.probability,
                                   [](double p, const Image& image) { return p < image.score.probability; });
  kept_.insert(at, {score, picture});
  if (kept_.size() > count_) kept_.pop_back();
}

void print_scores(std::FILE* out, const ClassificationReport& report) {
  const ClassificationScores& s = report.scores;
  size_t width = 5;
  for (const auto& c : s.classes) width = std::max(width, c.name.size());
  print_to(out, "{:<{}}  {:>8} {:>8} {:>8} {:>10}\n", "class", width, "accuracy", "top-5", "images",
           "predicted");
  for (const auto& c : s.classes)
    print_to(out, "{:<{}}  {:>8} {:>8} {:>8} {:>10}\n", c.name, width, cell(c.accuracy()),
             cell(c.top5_share()), c.images, c.predicted);
  print_to(out, "\n");
  for (const ClassificationMetric& m : classification_metrics())
    print_to(out, "{:<15} {}\n", m.title, cell(m.value(s)));
  print_to(out, "cross-entropy   {}  per image\n\nscored          {}\n", cell(s.loss()),
           counted(s.images, "image"));
  for (const auto& [name, text] : report.facts) print_to(out, "{:<15} {}\n", name, text);
}

std::string scores_json(const ClassificationReport& report) {
  JsonValue out = classification_to_json(report.scores);
  JsonValue& images = out["per_image"];
  images.kind = JsonValue::Kind::array;
  for (const ClassifiedImageScore& s : report.images) {
    JsonValue row = JsonValue::make_object();
    row["id"] = JsonValue::of(s.id);
    row["label"] = JsonValue::of(name_at(report.scores, s.label));
    row["predicted"] = JsonValue::of(name_at(report.scores, s.predicted));
    row["probability"] = JsonValue::of(s.probability);
    row["predicted_probability"] = JsonValue::of(s.predicted_probability);
    row["place"] = JsonValue::of(s.rank + 1);
    row["path"] = JsonValue::of(s.path);
    images.array.push_back(std::move(row));
  }
  out["network"] = JsonValue::of(report.network);
  for (const auto& [name, text] : report.facts) out[fact_key(name)] = JsonValue::of(text);
  return to_text(out);
}

void write_classification_report(const std::string& folder, const ClassificationReport& report,
                                 const std::vector<WorstClassified::Image>& worst) {
  prepare_worst_folder(folder);
  const std::string html = report_head(report.network, report.facts) + "<div class=\"cards\">\n" +
                           classification_cards(report.scores) + "</div>\n" + facts_section(report) +
                           classification_sections(report.scores, "Per class") +
                           worst_section(folder, report, worst) + image_table(report) + page_end();
  if (report.scores.classes.size() <= most_confusion_classes)
    write_file_atomically(
        folder + "/confusion.svg",
        confusion_svg(confusion_matrix(report.scores), report.scores.names(), SvgPlace::file, "images"));
  write_file_atomically(folder + "/scores.json", scores_json(report) + "\n");
  write_file_atomically(folder + "/report.html", html);
}

}  // namespace atrous::eval
