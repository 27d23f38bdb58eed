#include "eval/report/semantic_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "core/atomic_file.h"
#include "core/error.h"
#include "core/text.h"
#include "data/image_io.h"
#include "eval/pictures.h"
#include "eval/report/html.h"
#include "eval/report/semantic_html.h"
#include "eval/semantic_metrics.h"

namespace atrous::eval {
namespace {

constexpr int64_t shown_width = 560;  // of pictures on the page
constexpr size_t listed = 200;        // rows of the table of images
const std::array<const char*, 4> kinds = {"image", "label", "prediction", "error"};

bool worse(const ImageScore& a, const ImageScore& b) {
  return std::pair(a["miou"], a["pixel_accuracy"]) < std::pair(b["miou"], b["pixel_accuracy"]);
}

std::string loss_text(const std::optional<double>& loss) {
  return loss ? fmt::format("{:.3f}", *loss) : "–";
}

std::array<Tensor, 4> pictures_of(const WorstImages::Image& w, const Palette& palette) {
  const Tensor nothing = Tensor::full(w.prediction.shape(), data::ignore_label, DType::u8);
  return {overlay(w.sample.image, nothing, palette), overlay(w.sample.image, w.sample.label, palette, 0.7),
          overlay(w.sample.image, w.prediction, palette, 0.7),
          error_map(w.sample.image, w.sample.label, w.prediction)};
}

std::string class_name(const std::vector<data::ClassInfo>& classes, int64_t c) {
  return static_cast<size_t>(c) < classes.size() ? classes[static_cast<size_t>(c)].name
                                                 : fmt::format("class{}", c);
}

// The pairs of classes that an image confuses, the most pixels first, and the colours of these classes.
std::string explanation(const WorstImages::Image& w, const std::vector<data::ClassInfo>& classes,
                        const Palette& palette, int64_t num_classes) {
  ConfusionMatrix own(num_classes);
  own.add(w.sample.label, w.prediction, data::ignore_label);
  std::vector<std::array<int64_t, 3>> mistakes;  // -pixels, label, prediction
  std::string legend;
  for (int64_t r = 0; r < num_classes; ++r) {
    int64_t seen = 0;
    for (int64_t c = 0; c < num_classes; ++c) {
      seen += own.at(r, c) + own.at(c, r);
      if (r != c && own.at(r, c) > 0) mistakes.push_back({-own.at(r, c), r, c});
    }
    if (seen == 0) continue;
    const auto& rgb = palette[static_cast<size_t>(r)];
    legend += fmt::format("<i class=\"swatch\" style=\"background:#{:02x}{:02x}{:02x}\"></i>{} &ensp;",
                          rgb[0], rgb[1], rgb[2], escape_html(class_name(classes, r)));
  }
  std::sort(mistakes.begin(), mistakes.end());
  mistakes.resize(std::min<size_t>(mistakes.size(), 4));
  std::string text;
  for (const auto& [pixels, r, c] : mistakes) {
    text += fmt::format("{}{} → {} ({} px)", text.empty() ? "" : ", ", escape_html(class_name(classes, r)),
                        escape_html(class_name(classes, c)), -pixels);
  }
  return fmt::format("<p class=\"sub\">{}<br>{}</p>\n", text.empty() ? "" : "Mostly: " + text, legend);
}

std::string worst_section(const std::string& folder, const std::vector<WorstImages::Image>& worst,
                          const std::vector<data::ClassInfo>& classes, int64_t num_classes) {
  if (worst.empty()) return "";
  const Palette palette = palette_of(classes);
  std::string out =
      "<h2>Worst images</h2>\n<p class=\"sub\">By the mean IoU over the classes of each image. Image, label, "
      "prediction, errors (wrong pixels red, ignored ones dark blue). Pictures in full size are in "
      "<code>worst/</code> beside this page.</p>\n";
  for (size_t i = 0; i < worst.size(); ++i) {
    const WorstImages::Image& w = worst[i];
    const std::array<Tensor, 4> pictures = pictures_of(w, palette);
    out += fmt::format("<h3>{}. {}</h3>\n<p class=\"sub\">", i + 1, escape_html(w.score.id));
    for (const SemanticMetric* m : semantic_metrics_in(shown_per_image))
      out += fmt::format("{} {} %, ", m->title, percent_text(w.score[m->key]));
    out += fmt::format("cross-entropy {}</p>\n<div class=\"quad\">", loss_text(w.score.loss));
    for (size_t k = 0; k < kinds.size(); ++k) {
      const std::string name = "worst/" + picture_name(i + 1, w.score.id, kinds[k]);
      data::write_png(folder + "/" + name, pictures[k]);
      out += fmt::format("<figure><a href=\"{}\">{}</a><figcaption>{}</figcaption></figure>\n", name,
                         inline_png(data::encode_png(shrunk(pictures[k], shown_width)), kinds[k]), kinds[k]);
    }
    out += "</div>\n" + explanation(w, classes, palette, num_classes);
  }
  return out;
}

// How many images reach which mIoU, in steps of 5 %.
std::string histogram(const std::vector<ImageScore>& images) {
  constexpr size_t bins = 20;
  constexpr double left = 40, top = 44, bar = 25, height = 160;
  std::array<int64_t, bins> counts{};
  for (const ImageScore& i : images) {
    if (i["miou"]) ++counts[std::min(bins - 1, static_cast<size_t>(*i["miou"] * bins))];
  }
  const int64_t most = *std::max_element(counts.begin(), counts.end());
  if (most == 0) return "";
  std::string out =
      "<h2>Images by their mIoU</h2>\n<svg class=\"chart\" style=\"max-width:640px\" viewBox=\"0 0 560 240\" "
      "role=\"img\" aria-label=\"number of images by mIoU\"><text class=\"title\" x=\"40\" y=\"18\">Images "
      "per 5 % of mIoU</text>\n";
  for (size_t b = 0; b < bins; ++b) {
    const double h = height * static_cast<double>(counts[b]) / static_cast<double>(most);
    const double x = left + bar * static_cast<double>(b);
    out += fmt::format(
        "<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" fill=\"#3f7fd0\"><title>{} to {} "
        "%: {} images</title></rect>",
        x + 1, top + height - h, bar - 2, h, 5 * b, 5 * b + 5, counts[b]);
    if (counts[b] > 0) {
      out += fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\">{}</text>", x + bar / 2,
                         top + height - h - 3, counts[b]);
    }
    if (b % 4 == 0)
      out += fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\">{}</text>\n", x,
                         top + height + 16, 5 * b);
  }
  return out + fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\">100 %</text></svg>\n",
                           left + bar * bins, top + height + 16);
}

std::string image_table(const std::vector<ImageScore>& images) {
  std::vector<ImageScore> order;
  std::copy_if(images.begin(), images.end(), std::back_inserter(order),
               [](const auto& i) { return i["miou"].has_value(); });
  std::stable_sort(order.begin(), order.end(), worse);
  std::string out = fmt::format(
      "<h2>Images, the worst first</h2>\n<details><summary>{} of {} "
      "images{}</summary>\n<table><tr><th>Image</th>",
      std::min(listed, order.size()), images.size(),
      order.size() < images.size() ? fmt::format(" ({} without a scored pixel)", images.size() - order.size())
                                   : "");
  const std::vector<const SemanticMetric*> columns = semantic_metrics_in(shown_per_image);
  for (const SemanticMetric* m : columns) out += fmt::format("<th>{} %</th>", heading_of(m->title));
  out += "<th>Cross-entropy</th></tr>\n";
  for (size_t i = 0; i < std::min(listed, order.size()); ++i) {
    const ImageScore& s = order[i];
    out += fmt::format("<tr><td title=\"{}\">{}</td>", escape_html(s.image_path), escape_html(s.id));
    for (const SemanticMetric* m : columns) out += fmt::format("<td>{}</td>", percent_text(s[m->key]));
    out += fmt::format("<td>{}</td></tr>\n", loss_text(s.loss));
  }
  return out + "</table></details>\n";
}

std::string facts_section(const ScoresReport& report) {
  Facts rows = report.facts;
  for (const SemanticMetric* m : semantic_metrics_in(shown_definition))
    rows.emplace_back(m->title, m->definition);
  rows.emplace_back("pixels",
                    fmt::format("{} scored, {} ignored", report.scores.pixels, report.scores.ignored_pixels));
  return facts_table(rows);
}

}  // namespace

void WorstImages::add(const data::Sample& sample, const Tensor& prediction, const ImageScore& score) {
  if (count_ == 0 || !score["miou"]) return;
  const auto at = std::upper_bound(kept_.begin(), kept_.end(), score,
                                   [](const ImageScore& a, const Image& b) { return worse(a, b.score); });
  kept_.insert(at, {score, sample, prediction});
  if (kept_.size() > count_) kept_.pop_back();
}

void write_eval_report(const std::string& folder, const ScoresReport& report,
                       const std::vector<WorstImages::Image>& worst,
                       const std::vector<ChangedImages::Image>& changed,
                       const std::vector<data::ClassInfo>& classes) {
  prepare_worst_folder(folder);
  const SemanticScores& s = report.scores;
  const Palette palette = palette_of(classes);
  std::vector<std::string> colors;
  for (size_t c = 0; c < s.per_class.size(); ++c)
    colors.push_back(fmt::format("#{:02x}{:02x}{:02x}", palette[c][0], palette[c][1], palette[c][2]));
  const std::vector<std::string> names = names_of(s);

  std::string html = report_head(report.network, report.facts) + "<div class=\"cards\">\n";
  html += semantic_cards(s, shown_card, fmt::format("of {} classes", s.per_class.size()));
  if (report.loss) html += card(fmt::format("{:.4f}", *report.loss), "cross-entropy");
  html += card(fmt::format("{}", report.images), "images") + "</div>\n";
  html += facts_section(report) + crf_section(folder, report, changed, classes) +
          per_class_section(s, colors, "Per class");
  html += confusion_section(report.confusion, names) + histogram(report.image_scores);
  html += worst_section(folder, worst, classes, report.confusion.num_classes());
  html += image_table(report.image_scores) + page_end();
  write_file_atomically(folder + "/confusion.svg", confusion_svg(report.confusion, names));
  write_file_atomically(folder + "/scores.json", scores_json(report) + "\n");
  write_file_atomically(folder + "/report.html", html);
}

}  // namespace atrous::eval
