// Line charts as inline SVG, for pages that must open anywhere, offline.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace atrous::eval {

struct Series {
  std::string name;
  std::string color;  // CSS
  std::vector<std::pair<double, double>>
      points;  // (x, y) in rising x; values that are not finite leave a gap
};

// A chart with axes, grid, ticks at round numbers and a legend. Text takes the page's colour. Empty text if
// there are no points. `heights`: y values that the axis shows in any case, so that charts can be compared.
std::string svg_chart(const std::string& title, const std::string& x_label, const std::vector<Series>& series,
                      const std::vector<double>& heights = {});

}  // namespace atrous::eval
