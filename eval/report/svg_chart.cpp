#include "eval/report/svg_chart.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "eval/report/html.h"

namespace atrous::eval {
namespace {

constexpr double width = 560, height = 260, left = 56, right = 12, top = 30, bottom = 36;

// A step of 1, 2 or 5 times a power of ten that gives about `count` ticks.
double tick_step(double range, int count) {
  const double raw = range / count;
  const double power = std::pow(10, std::floor(std::log10(raw)));
  for (double factor : {1.0, 2.0, 5.0}) {
    if (factor * power >= raw) return factor * power;
  }
  return 10 * power;
}

std::string tick_text(double value, double step) {
  if (std::abs(value) >= 1e5 || (step < 1e-4 && value != 0)) return fmt::format("{:.2g}", value);
  const int digits = std::max(0, static_cast<int>(-std::floor(std::log10(step) + 1e-9)));
  return fmt::format("{:.{}f}", value, digits);
}

struct Axis {
  double low = std::numeric_limits<double>::infinity();
  double high = -std::numeric_limits<double>::infinity();
  double step = 1;

  void include(double v) {
    low = std::min(low, v);
    high = std::max(high, v);
  }
  void finish(int ticks, bool round) {
    if (high <= low) high = low + (low == 0 ? 1 : std::abs(low));
    step = tick_step(high - low, ticks);
    if (!round) return;
    low = std::floor(low / step) * step;
    high = std::ceil(high / step) * step;
  }
};

}  // namespace

std::string svg_chart(const std::string& title, const std::string& x_label, const std::vector<Series>& series,
                      const std::vector<double>& heights) {
  Axis x, y;
  for (const Series& s : series) {
    for (const auto& [px, py] : s.points) {
      if (!std::isfinite(py)) continue;
      x.include(px);
      y.include(py);
    }
  }
  if (!(x.low <= x.high)) return "";
  for (double v : heights) y.include(v);
  if (y.low > 0 && y.low < 0.5 * y.high) y.low = 0;  // show the zero line when it is near
  x.finish(6, false);
  y.finish(5, true);
  const auto to_x = [&](double v) { return left + (v - x.low) / (x.high - x.low) * (width - left - right); };
  const auto to_y = [&](double v) {
    return height - bottom - (v - y.low) / (y.high - y.low) * (height - top - bottom);
  };

  std::string out =
      fmt::format("<svg class=\"chart\" viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\">\n", width,
                  height, escape_html(title));
  out += fmt::format("<text class=\"title\" x=\"{}\" y=\"18\">{}</text>\n", left, escape_html(title));
  for (int i = 0;; ++i) {
    const double v = y.low + i * y.step;
    if (v > y.high + y.step / 2) break;
    out += fmt::format(
        "<line class=\"grid\" x1=\"{}\" x2=\"{}\" y1=\"{:.1f}\" y2=\"{:.1f}\"/><text x=\"{}\" y=\"{:.1f}\" "
        "text-anchor=\"end\">{}</text>\n",
        left, width - right, to_y(v), to_y(v), left - 6, to_y(v) + 4, tick_text(v, y.step));
  }
  for (double v = std::ceil(x.low / x.step) * x.step; v <= x.high + x.step * 1e-6; v += x.step) {
    out += fmt::format("<text x=\"{:.1f}\" y=\"{}\" text-anchor=\"middle\">{}</text>\n", to_x(v),
                       height - bottom + 16, tick_text(v, x.step));
  }
  out += fmt::format("<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>\n", width - right, height - 4,
                     escape_html(x_label));
  double legend = width - right;
  for (auto s = series.rbegin(); s != series.rend(); ++s) {
    if (std::ranges::none_of(s->points, [](const auto& p) { return std::isfinite(p.second); })) continue;
    legend -= 7.0 * static_cast<double>(s->name.size()) + 26;
    out += fmt::format(
        "<line x1=\"{0:.0f}\" x2=\"{1:.0f}\" y1=\"14\" y2=\"14\" stroke=\"{2}\" stroke-width=\"3\"/><text "
        "x=\"{3:.0f}\" y=\"18\">{4}</text>\n",
        legend, legend + 14, s->color, legend + 18, escape_html(s->name));
  }
  for (const Series& s : series) {
    std::string path;
    bool pen_down = false;
    for (const auto& [px, py] : s.points) {
      if (!std::isfinite(py)) {
        pen_down = false;
        continue;
      }
      path += fmt::format("{}{:.1f} {:.1f}", pen_down ? " L" : " M", to_x(px), to_y(py));
      pen_down = true;
    }
    out += fmt::format(
        "<path d=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"1.8\" stroke-linejoin=\"round\"/>\n", path,
        s.color);
    if (s.points.size() <= 40) {
      for (const auto& [px, py] : s.points) {
        if (std::isfinite(py))
          out += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"2.4\" fill=\"{}\"/>", to_x(px),
                             to_y(py), s.color);
      }
    }
  }
  return out + "</svg>\n";
}

}  // namespace atrous::eval
