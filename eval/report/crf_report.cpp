#include "eval/report/crf_report.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/output_folder.h"
#include "data/image_io.h"
#include "eval/pictures.h"
#include "eval/report/html.h"
#include "eval/report/semantic_html.h"
#include "eval/semantic_metrics.h"

namespace atrous::eval {
namespace {

constexpr int64_t shown_width = 560;  // of pictures on the page
// How many of crf_metrics are shown: for the set; for classes and images, which have the first two.
constexpr size_t all_metrics = 100, class_metrics = 2;

// The photograph in pale grey; changed pixels green where they became right, red where they were right,
// yellow where another wrong class stands now.
Tensor change_map(const ChangedImages::Image& w) {
  const Tensor nothing = Tensor::full(w.after.shape(), data::ignore_label, DType::u8);
  const Tensor none_wrong = Tensor::full(w.after.shape(), 0, DType::u8);
  const Tensor picture = error_map(w.sample.image, none_wrong, none_wrong);
  for (int64_t i = 0; i < w.after.numel(); ++i) {
    const uint8_t before = w.before.data<uint8_t>()[i], after = w.after.data<uint8_t>()[i];
    const uint8_t label = w.sample.label.data<uint8_t>()[i];
    if (before == after) continue;
    const data::Color color = label == data::ignore_label ? data::Color{30, 40, 80}
                              : after == label            ? data::Color{20, 150, 60}
                              : before == label           ? data::Color{222, 20, 30}
                                                          : data::Color{230, 180, 20};
    std::copy_n(color.data(), 3, picture.data<uint8_t>() + 3 * i);
  }
  return picture;
}

std::string change_text(const std::optional<double>& before, const std::optional<double>& after,
                        Better better) {
  if (!before || !after) return "–";
  const double points = 100 * (*after - *before);
  const std::string text = fmt::format("{:+.2f}", points);
  if (text == "+0.00" || text == "-0.00") return "0.00";
  return fmt::format("<span class=\"{}\">{}</span>", is_better(better, *after, *before) ? "good" : "bad",
                     text);
}

// Three cells.
std::string change_cells(const std::optional<double>& before, const std::optional<double>& after,
                         Better better) {
  return fmt::format("<td>{}</td><td>{}</td><td>{}</td>", percent_text(before), percent_text(after),
                     change_text(before, after, better));
}

// Not a share: nats per scored pixel, lower is better.
std::string loss_row(const std::optional<double>& before, const std::optional<double>& after) {
  if (!before || !after) return "";
  const double change = *after - *before;
  return fmt::format(
      "<tr><td>cross-entropy (nats)</td><td>{:.4f}</td><td>{:.4f}</td><td><span "
      "class=\"{}\">{:+.4f}</span></td></tr>\n",
      *before, *after, change > 0 ? "bad" : "good", change);
}

std::string tables(const ScoresReport& report) {
  const SemanticScores &before = report.crf->before.scores, &after = report.scores;
  std::string out = "<table><tr><th>Score</th><th>before %</th><th>after %</th><th>points</th></tr>\n";
  for (const SemanticMetric* m : crf_metrics(all_metrics))
    out += fmt::format("<tr><td>{}</td>{}</tr>\n", escape_html(m->title),
                       change_cells(before[m->key], after[m->key], m->better));
  out += loss_row(report.crf->before.loss, report.loss) + "</table>\n<table><tr><th>Class</th>";
  const std::vector<const SemanticMetric*> columns = crf_metrics(class_metrics);
  for (const SemanticMetric* m : columns)
    out += fmt::format("<th>{} before %</th><th>after %</th><th>points</th>", m->of_class.title);
  out += "</tr>\n";
  for (size_t c = 0; c < after.per_class.size(); ++c) {
    const ClassScore &a = before.per_class[c], &b = after.per_class[c];
    out += fmt::format("<tr><td>{}</td>", escape_html(b.name));
    for (const SemanticMetric* m : columns)
      out += change_cells(a[m->of_class.key], b[m->of_class.key], m->better);
    out += "</tr>\n";
  }
  return out + "</table>\n";
}

std::string pictures(const std::string& folder, const ChangedImages::Image& w, size_t rank,
                     const Palette& palette) {
  const auto n = static_cast<double>(w.scored) / 100;
  std::string out = fmt::format(
      "<h3>{}. {}</h3>\n<p class=\"sub\">{:.1f} % of the scored pixels changed: {:.1f} % became right, "
      "{:.1f} % wrong.",
      rank, escape_html(w.sample.id), static_cast<double>(w.changed) / n, static_cast<double>(w.mended) / n,
      static_cast<double>(w.broken) / n);
  std::string separator = " ";
  for (const SemanticMetric* m : crf_metrics(class_metrics)) {
    out += fmt::format("{}{} {} to {} %", separator, m->title, percent_text(w.score_before[m->key]),
                       percent_text(w.score_after[m->key]));
    separator = ", ";
  }
  out += "</p>\n<div class=\"quad\">";
  const std::pair<const char*, Tensor> shown[] = {{"before", overlay(w.sample.image, w.before, palette, 0.7)},
                                                  {"after", overlay(w.sample.image, w.after, palette, 0.7)},
                                                  {"change", change_map(w)}};
  for (const auto& [kind, picture] : shown) {
    const std::string name = "crf/" + picture_name(rank, w.sample.id, kind);
    data::write_png(folder + "/" + name, picture);
    out += fmt::format("<figure><a href=\"{}\">{}</a><figcaption>{}</figcaption></figure>\n", name,
                       inline_png(data::encode_png(shrunk(picture, shown_width)), kind), kind);
  }
  return out + "</div>\n";
}

}  // namespace

void ChangedImages::add(const ScoredImage& image) {
  if (count_ == 0 || !image.prediction_before.defined()) return;
  Image own{image.sample, image.prediction_before, image.prediction, *image.score_before, image.score};
  for (int64_t i = 0; i < own.after.numel(); ++i) {
    const uint8_t before = own.before.data<uint8_t>()[i], after = own.after.data<uint8_t>()[i];
    const uint8_t label = own.sample.label.data<uint8_t>()[i];
    if (label == data::ignore_label) continue;
    ++own.scored;
    own.changed += before != after;
    own.mended += before != after && after == label;
    own.broken += before != after && before == label;
  }
  if (own.changed == 0) return;
  const auto at = std::upper_bound(kept_.begin(), kept_.end(), own,
                                   [](const Image& a, const Image& b) { return a.share() > b.share(); });
  kept_.insert(at, std::move(own));
  if (kept_.size() > count_) kept_.pop_back();
}

std::string crf_section(const std::string& folder, const ScoresReport& report,
                        const std::vector<ChangedImages::Image>& images,
                        const std::vector<data::ClassInfo>& classes) {
  remove_pictures(folder + "/crf", {"before", "after", "change"});
  if (!report.crf) return "";
  if (!images.empty()) make_output_folder(folder + "/crf", "--report");
  std::string out = fmt::format(
      "<h2>What the CRF changed</h2>\n<p class=\"sub\"><code>{}</code>. All other numbers on this page are "
      "after it.</p>\n",
      escape_html(crf_text(report.crf->options)));
  if (const std::string tiles = crf_tiles_text(*report.crf, report.images); !tiles.empty())
    out += fmt::format("<p class=\"sub\">Refined {}.</p>\n", escape_html(tiles));
  out += tables(report);
  if (!images.empty()) {
    out +=
        "<h2>Images that it changed the most</h2>\n<p class=\"sub\">Before, after, and the pixels whose "
        "class changed: green became right, red wrong, yellow was and is wrong, dark blue is not scored. "
        "Pictures in full size are in <code>crf/</code> beside this page.</p>\n";
  }
  const Palette palette = palette_of(classes);
  for (size_t i = 0; i < images.size(); ++i) out += pictures(folder, images[i], i + 1, palette);
  return out;
}

}  // namespace atrous::eval
