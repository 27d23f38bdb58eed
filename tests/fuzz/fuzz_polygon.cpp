// Polygons become the mask that COCO's rule gives, drawn here point by point (rleFrPoly in cocoapi's
// maskApi.c).
#include <algorithm>
#include <cmath>

#include "data/rle.h"
#include "harness.h"

using namespace atrous;

namespace {

struct Point {
  int x, y;
};

// The points of an edge on the fine grid, in the order of its ends. An edge that runs backwards is drawn from
// its other end.
void draw_edge(Point from, Point to, std::vector<Point>& points) {
  const int dx = std::abs(to.x - from.x), dy = std::abs(to.y - from.y);
  const bool along_x = dx >= dy;
  const bool backwards = along_x ? from.x > to.x : from.y > to.y;
  if (backwards) std::swap(from, to);
  const int steps = std::max(dx, dy);
  const double slope = steps == 0 ? 0 : static_cast<double>(along_x ? to.y - from.y : to.x - from.x) / steps;
  for (int d = 0; d <= steps; ++d) {
    const int t = backwards ? steps - d : d;
    const auto across = static_cast<int>((along_x ? from.y : from.x) + slope * t + 0.5);
    points.push_back(along_x ? Point{from.x + t, across} : Point{across, from.y + t});
  }
}

data::Rle drawn(int64_t height, int64_t width, const std::vector<double>& corners) {
  const auto fine = [](double v) { return static_cast<int>(5 * v + 0.5); };
  std::vector<Point> points;
  const size_t n = corners.size() / 2;
  for (size_t i = 0; i < n; ++i) {
    const size_t j = (i + 1) % n;
    draw_edge({fine(corners[2 * i]), fine(corners[2 * i + 1])},
              {fine(corners[2 * j]), fine(corners[2 * j + 1])}, points);
  }
  // Where the outline passes the middle of a column: pixels, column by column.
  std::vector<int64_t> crossings;
  for (size_t i = 1; i < points.size(); ++i) {
    const Point a = points[i - 1], b = points[i];
    if (a.x == b.x) continue;
    const double column = ((b.x < a.x ? b.x : b.x - 1) + 0.5) / 5 - 0.5;
    if (std::floor(column) != column || column < 0 || column > static_cast<double>(width - 1)) continue;
    const double row = std::clamp((std::min(a.y, b.y) + 0.5) / 5 - 0.5, 0.0, static_cast<double>(height));
    crossings.push_back(static_cast<int64_t>(column) * height + static_cast<int64_t>(std::ceil(row)));
  }
  std::sort(crossings.begin(), crossings.end());
  std::vector<int64_t> runs;
  int64_t before = 0;
  for (const int64_t c : crossings) {
    runs.push_back(c - before);
    before = c;
  }
  runs.push_back(height * width - before);
  return data::rle_from_counts(height, width, runs);
}

}  // namespace

// A byte of choices, height and width, then coordinates.
FUZZ_HARNESS(polygon, bytes) {
  fuzz::Input input{bytes};
  const auto choice = input.take<uint8_t>();
  const int64_t height = input.take<uint8_t>(), width = input.take<uint8_t>();
  std::vector<std::vector<double>> polygons(1);
  double farthest = 0;
  while (!input.left.empty()) {
    if (polygons.back().size() == 12 && choice & 1) polygons.emplace_back();
    const double v = choice & 2 ? input.take<double>() : input.take<int16_t>() / 50.0;
    polygons.back().push_back(v);
    farthest = std::max(farthest, std::isfinite(v) ? std::abs(v) : HUGE_VAL);
  }
  fuzz::accepts({ErrorKind::data}, [&] {
    int64_t passed = 0;
    const data::Rle mask = data::rle_from_polygons(height, width, polygons, "x", &passed);
    fuzz::require(farthest <= data::max_polygon_coordinate, "far and infinite corners are refused");
    std::vector<data::Rle> parts;
    for (const auto& p : polygons) {
      parts.push_back(data::rle_from_polygon(height, width, p));
      if (farthest <= 3000)
        fuzz::require(parts.back() == drawn(height, width, p), "a polygon covers what COCO's rule says");
    }
    fuzz::require(mask == data::rle_merge(parts, data::MaskSet::union_of),
                  "several polygons are their union");
  });
}
