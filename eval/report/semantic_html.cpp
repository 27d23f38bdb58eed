#include "eval/report/semantic_html.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cmath>

#include "eval/report/html.h"

namespace atrous::eval {
namespace {

// A name cut short but still recognisable; whole UTF-8 characters only.
std::string shortened(const std::string& name, size_t characters) {
  size_t count = 0;
  for (size_t i = 0; i < name.size(); ++i) {
    const bool starts = (static_cast<unsigned char>(name[i]) & 0xC0) != 0x80;
    if (starts && count++ == characters) return name.substr(0, i) + "…";
  }
  return name;
}

size_t length_of(const std::string& name) {
  return static_cast<size_t>(
      std::count_if(name.begin(), name.end(), [](unsigned char c) { return (c & 0xC0) != 0x80; }));
}

std::string name_at(const std::vector<std::string>& names, int64_t c) {
  const auto i = static_cast<size_t>(c);
  return i < names.size() ? names[i] : fmt::format("class{}", c);
}

int64_t row_sum(const ConfusionMatrix& confusion, int64_t row) {
  int64_t sum = 0;
  for (int64_t c = 0; c < confusion.num_classes(); ++c) sum += confusion.at(row, c);
  return sum;
}

double share_of(int64_t part, int64_t whole) {
  return whole > 0 ? static_cast<double>(part) / static_cast<double>(whole) : 0;
}

// Sizes of the picture, in pixels.
struct Layout {
  int64_t classes;
  double cell, names;  // side of a cell; room for the names
  bool numbers, slanted, both_sides;

  Layout(const ConfusionMatrix& confusion, const std::vector<std::string>& class_names)
      : classes(confusion.num_classes()),
        cell(std::clamp(std::floor(640.0 / static_cast<double>(classes)), 14.0, 64.0)),
        names(0),
        numbers(cell >= 25),
        slanted(cell >= 20),
        both_sides(classes > 30) {
    size_t longest = 5;
    for (int64_t c = 0; c < classes; ++c)
      longest = std::max(longest, std::min(longest_name, length_of(name_at(class_names, c))));
    names = 7.0 * static_cast<double>(longest + 1) + 14;
  }
  static constexpr size_t longest_name = 24;
  double grid() const { return cell * static_cast<double>(classes); }
  double at(int64_t i) const { return names + cell * static_cast<double>(i); }
  // Slanted names hang over to the right.
  double width() const { return names + grid() + (both_sides || slanted ? names : 10); }
  double height() const { return names + grid() + (both_sides ? names : 10); }
};

std::string axis_names(const Layout& l, const std::vector<std::string>& names) {
  std::string out;
  const double end = l.names + l.grid();
  for (int64_t i = 0; i < l.classes; ++i) {
    const std::string name = escape_html(shortened(name_at(names, i), Layout::longest_name));
    const double center = l.at(i) + l.cell / 2 + 4;
    const int angle = l.slanted ? -45 : -90;
    out += fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"end\">{}</text>", l.names - 6, center,
                       name);
    out += fmt::format("<text transform=\"translate({:.1f},{:.1f}) rotate({})\">{}</text>\n", center,
                       l.names - 6, angle, name);
    if (!l.both_sides) continue;
    out += fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\">{}</text>", end + 6, center, name);
    out += fmt::format(
        "<text transform=\"translate({:.1f},{:.1f}) rotate(-90)\" text-anchor=\"end\">{}</text>\n", center,
        end + 6, name);
  }
  return out;
}

// Lines that connect a cell to its names.
std::string guides(const Layout& l) {
  std::string out;
  for (int64_t i = 5; l.classes > 15 && i < l.classes; i += 5) {
    out += fmt::format("<path class=\"guide\" d=\"M{0:.1f} {1:.1f}H{2:.1f}M{3:.1f} {4:.1f}V{2:.1f}\"/>\n",
                       l.names, l.at(i) - 0.5, l.names + l.grid(), l.at(i) - 0.5, l.names);
  }
  return out;
}

std::string row_cells(const ConfusionMatrix& confusion, const std::vector<std::string>& names,
                      const Layout& l, int64_t r, const char* unit) {
  const int64_t total = row_sum(confusion, r);
  const std::string label = escape_html(name_at(names, r));
  if (total == 0) {
    return fmt::format(
        "<rect class=\"empty\" x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\"><title>{}: no "
        "labelled {}</title></rect>\n",
        l.names, l.at(r), l.grid() - 1, l.cell - 1, label, unit);
  }
  std::string out;
  for (int64_t c = 0; c < l.classes; ++c) {
    const int64_t pixels = confusion.at(r, c);
    const double share = share_of(pixels, total);
    // Too faint to see; keeps a picture of many classes small.
    if (share < 0.0002) continue;
    out += fmt::format(
        "<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" fill=\"{}\" "
        "fill-opacity=\"{:.3f}\"><title>{} → {}: {:.2f} %, {} {}</title></rect>",
        l.at(c), l.at(r), l.cell - 1, l.cell - 1, r == c ? "#1f9d74" : "#d2573c", std::sqrt(share), label,
        escape_html(name_at(names, c)), 100 * share, pixels, unit);
    if (l.numbers && share >= 0.005) {
      out += fmt::format("<text class=\"{}\" x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\">{:.0f}</text>",
                         share > 0.3 ? "on" : "in", l.at(c) + l.cell / 2 - 0.5, l.at(r) + l.cell / 2 + 3.5,
                         100 * share);
    }
  }
  return out + "\n";
}

}  // namespace

std::string heading_of(const char* title) {
  std::string text = title;
  if (std::islower(static_cast<unsigned char>(title[1])))
    text[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(text[0])));
  return text;
}

std::string percent_text(const std::optional<double>& share) {
  return share && std::isfinite(*share) ? fmt::format("{:.1f}", 100 * *share) : "–";
}

std::string percent_card(const std::optional<double>& share, const std::string& label) {
  return card(percent_text(share) + (share ? " %" : ""), label);
}

std::vector<std::string> names_of(const SemanticScores& scores) {
  std::vector<std::string> names;
  for (const ClassScore& c : scores.per_class) names.push_back(c.name);
  return names;
}

std::string semantic_cards(const SemanticScores& scores, Shown place, const std::string& classes) {
  std::string out;
  for (const SemanticMetric* m : semantic_metrics_in(place)) {
    std::string label = m->title;
    if (is_main(*m)) {
      label += scores[m->key] ? fmt::format(" over {} {}", scores.classes_in_mean, classes)
                              : fmt::format(": {}", no_scored_pixel);
    }
    out += percent_card(scores[m->key], label);
  }
  return out;
}

std::string confusion_svg(const ConfusionMatrix& confusion, const std::vector<std::string>& names,
                          SvgPlace place, const char* unit) {
  const Layout l(confusion, names);
  // Colours that are legible on white and on black, since a page may be either.
  std::string out = fmt::format(
      "<svg{2} class=\"confusion\" width=\"{0:.0f}\" height=\"{1:.0f}\" "
      "viewBox=\"0 0 {0:.0f} {1:.0f}\" role=\"img\" aria-label=\"confusion matrix\"><style>"
      ".confusion text {{ font: 11px system-ui, sans-serif; fill: #66727f; }} .confusion .in {{ fill: "
      "#1d2733; }} "
      ".confusion .on {{ fill: #fff; }} .confusion .axis {{ font-weight: 600; }} "
      ".confusion .guide {{ stroke: #66727f; stroke-opacity: .3; fill: none; }} "
      ".confusion .empty, .confusion .frame {{ fill: #66727f; fill-opacity: .09; }} "
      "@media (prefers-color-scheme: dark) {{ .confusion text {{ fill: #93a0ad; }} .confusion .in {{ fill: "
      "#e4e9ee; }} "
      "}}</style>\n",
      l.width(), l.height(), place == SvgPlace::file ? " xmlns=\"http://www.w3.org/2000/svg\"" : "");
  out += fmt::format(
      "<rect class=\"frame\" x=\"{0:.1f}\" y=\"{0:.1f}\" width=\"{1:.1f}\" height=\"{1:.1f}\"/>\n",
      l.names - 0.5, l.grid());
  out += fmt::format(
      "<text class=\"axis\" x=\"6\" y=\"{:.1f}\">label ↓</text><text class=\"axis\" x=\"6\" "
      "y=\"{:.1f}\">prediction →</text>\n",
      l.names - 8, l.names - 24);
  out += axis_names(l, names);
  for (int64_t r = 0; r < l.classes; ++r) out += row_cells(confusion, names, l, r, unit);
  return out + guides(l) + "</svg>\n";
}

std::string per_class_section(const SemanticScores& scores, const std::vector<std::string>& colors,
                              const std::string& heading) {
  std::vector<const SemanticMetric*> columns;
  for (const SemanticMetric& m : semantic_metrics()) {
    if (m.of_class.key && was_computed(m, scores)) columns.push_back(&m);
  }
  std::string out = fmt::format("<h2>{}</h2>\n<table><tr><th>Class</th>", escape_html(heading));
  for (const SemanticMetric* m : columns)
    out += fmt::format("<th>{} %</th>{}", m->of_class.title, is_main(*m) ? "<th></th>" : "");
  out += "<th>Labelled pixels</th><th>Predicted pixels</th></tr>\n";
  for (size_t c = 0; c < scores.per_class.size(); ++c) {
    const ClassScore& row = scores.per_class[c];
    out += fmt::format("<tr><td><i class=\"swatch\" style=\"background:{}\"></i>{}</td>",
                       c < colors.size() ? escape_html(colors[c]) : "none", escape_html(row.name));
    for (const SemanticMetric* m : columns) {
      const std::optional<double>& score = row[m->of_class.key];
      out += fmt::format("<td>{}</td>", percent_text(score));
      if (!is_main(*m)) continue;
      out += score ? fmt::format("<td><span class=\"meter\"><i style=\"width:{:.0f}%\"></i></span></td>",
                                 100 * *score)
                   : fmt::format("<td>{}</td>", row.excluded ? "excluded" : "absent");
    }
    out += fmt::format("<td>{}</td><td>{}</td></tr>\n", row.ground_truth, row.predicted);
  }
  return out +
         "</table>\n<p class=\"sub\">Scores come from one confusion matrix over the whole set, at the size "
         "of the label files. A class that is in neither labels nor predictions is absent and left out of "
         "the mean. A class that cannot occur in the labels, because its value is ignored, is excluded from "
         "all means.</p>\n";
}

std::string confusion_section(const ConfusionMatrix& confusion, const std::vector<std::string>& names,
                              const char* unit) {
  struct Confused {
    int64_t label, prediction, pixels;
  };
  const int64_t k = confusion.num_classes();
  std::vector<Confused> all;
  int64_t wrong = 0;
  for (int64_t r = 0; r < k; ++r) {
    for (int64_t c = 0; c < k; ++c) {
      if (r == c || confusion.at(r, c) == 0) continue;
      all.push_back({r, c, confusion.at(r, c)});
      wrong += confusion.at(r, c);
    }
  }
  std::stable_sort(all.begin(), all.end(),
                   [](const Confused& a, const Confused& b) { return a.pixels > b.pixels; });
  all.resize(std::min<size_t>(all.size(), 12));
  std::string out =
      "<h2>Confusion matrix</h2>\n<p class=\"sub\">Rows: labelled class; columns: predicted class; percent "
      "of the row.</p>\n<div class=\"confusion-box\">" +
      confusion_svg(confusion, names, SvgPlace::page, unit) + "</div>\n";
  if (all.empty()) return out;
  out += fmt::format(
      "<h2>Largest confusions</h2>\n<table><tr><th>Label</th><th class=\"text\">Predicted "
      "as</th><th>{}</th><th>% of the label's {}</th><th>% of all wrong {}</th></tr>\n",
      heading_of(unit), unit, unit);
  for (const Confused& c : all) {
    out += fmt::format(
        "<tr><td>{}</td><td class=\"text\">{}</td><td>{}</td><td>{:.1f}</td><td>{:.1f}</td></tr>\n",
        escape_html(name_at(names, c.label)), escape_html(name_at(names, c.prediction)), c.pixels,
        100 * share_of(c.pixels, row_sum(confusion, c.label)), 100 * share_of(c.pixels, wrong));
  }
  return out + "</table>\n";
}

}  // namespace atrous::eval
