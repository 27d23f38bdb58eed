// Which pixels a polygon covers, by COCO's rule (data/rle.h).
//
// maskApi draws every point of every edge on the fine grid and then checks where the column changes. Here
// only each edge's crossings of column middles are computed: the same crossings from the same formulas, in
// time that depends on the image instead of on how far away a corner lies.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "data/rle.h"

namespace atrous::data {
namespace {

constexpr int fine = 5;    // steps of the fine grid per pixel
constexpr int middle = 2;  // a column's middle lies between fine columns 5 c + 2 and 5 c + 3
// For all polygons of one object together.
constexpr size_t max_crossings = size_t{1} << 24;

struct Point {
  int x, y;
};

// Conversion to int cuts towards zero, as in maskApi; for coordinates below zero that is another pixel than
// rounding gives, and only clipping hides it.
int fine_coordinate(double v) {
  return static_cast<int>(fine * v + .5);
}

int64_t ceil_div(int64_t a, int64_t b) {
  return a >= 0 ? (a + b - 1) / b : -((-a) / b);
}

class Crossings {
 public:
  // `total`: crossings of the object so far, those of its other polygons included.
  Crossings(int64_t height, int64_t width, const std::string& where, size_t& total)
      : height_(height), width_(width), where_(where), total_(total) {}

  void add_edge(Point a, Point b) {
    const int dx = std::abs(b.x - a.x), dy = std::abs(b.y - a.y);
    if (dx == 0) return;  // it stays in its column
    // The direction of drawing decides how halves are rounded: always towards the larger coordinate.
    if (dx >= dy ? a.x > b.x : a.y > b.y) std::swap(a, b);
    if (dx >= dy) {
      flat_edge(a, b, dx);
    } else {
      steep_edge(a, b, dy);
    }
  }

  Rle finish() {
    positions_.push_back(static_cast<uint32_t>(height_ * width_));
    std::sort(positions_.begin(), positions_.end());
    // Two crossings at the same position cancel.
    Rle rle{height_, width_, {}};
    std::vector<uint32_t>& counts = rle.counts;
    uint32_t before = 0;
    bool join = false;
    for (uint32_t p : positions_) {
      const uint32_t run = p - before;
      before = p;
      if (join) {
        counts.back() += run;
        join = false;
      } else if (run > 0 || counts.empty()) {
        counts.push_back(run);
      } else {
        join = true;
      }
    }
    return rle;
  }

 private:
  // Columns whose middle lies between the fine columns `low` and `high`, those of the image only.
  int64_t first_column(int low) const { return std::max<int64_t>(0, ceil_div(int64_t{low} - middle, fine)); }
  int64_t last_column(int high) const {
    return high <= middle ? -1 : std::min<int64_t>(width_ - 1, (int64_t{high} - middle - 1) / fine);
  }

  // One fine column per step.
  void flat_edge(Point a, Point b, int dx) {
    const double slope = static_cast<double>(b.y - a.y) / dx;
    const auto y_at = [&](int64_t step) {
      return static_cast<int>(a.y + slope * static_cast<double>(step) + .5);
    };
    for (int64_t c = first_column(a.x); c <= last_column(b.x); ++c) {
      const int64_t step = fine * c + middle - a.x;
      note(c, std::min(y_at(step), y_at(step + 1)));
    }
  }

  // One fine row per step; the column follows, by at most one per step.
  void steep_edge(Point a, Point b, int dy) {
    const double slope = static_cast<double>(b.x - a.x) / dy;
    const auto x_at = [&](int64_t step) {
      return static_cast<int>(a.x + slope * static_cast<double>(step) + .5);
    };
    const bool rightwards = b.x > a.x;
    for (int64_t c = first_column(std::min(a.x, b.x)); c <= last_column(std::max(a.x, b.x)); ++c) {
      const int64_t left = fine * c + middle;
      const auto passed = [&](int64_t step) { return rightwards ? x_at(step) > left : x_at(step) <= left; };
      // The first step beyond the middle: guessed, then made exact.
      int64_t step =
          std::clamp<int64_t>(static_cast<int64_t>((static_cast<double>(left) + .5 - a.x) / slope), 1, dy);
      while (step < dy && !passed(step)) ++step;
      while (step > 1 && passed(step - 1)) --step;
      note(c, a.y + step - 1);
    }
  }

  // The upper one of the two fine rows at which the column is passed.
  void note(int64_t column, int64_t fine_row) {
    ATROUS_CHECK(total_++ < max_crossings, ErrorKind::data,
                 "[{}] the polygons of an object may pass at most {} pixel columns, counted again for each "
                 "edge. These pass more.",
                 where_, max_crossings);
    const int64_t row = std::clamp<int64_t>(ceil_div(fine_row - middle, fine), 0, height_);
    positions_.push_back(static_cast<uint32_t>(column * height_ + row));
  }

  int64_t height_, width_;
  const std::string& where_;
  size_t& total_;
  std::vector<uint32_t> positions_;
};

Rle fill_polygon(int64_t height, int64_t width, std::span<const double> corners, const std::string& where,
                 size_t& crossings_so_far) {
  ATROUS_CHECK(height >= 1 && width >= 1 && height <= max_mask_pixels && width <= max_mask_pixels &&
                   height * width <= max_mask_pixels,
               ErrorKind::data, "[{}] a mask must have between 1 and {} pixels. Got height {} and width {}.",
               where, max_mask_pixels, height, width);
  check_polygon(corners, where);
  Crossings crossings(height, width, where, crossings_so_far);
  const size_t n = corners.size() / 2;
  const auto corner = [&](size_t i) {
    return Point{fine_coordinate(corners[2 * i]), fine_coordinate(corners[2 * i + 1])};
  };
  for (size_t i = 0; i < n; ++i) crossings.add_edge(corner(i), corner(i + 1 < n ? i + 1 : 0));
  return crossings.finish();
}

}  // namespace

Rle rle_from_polygon(int64_t height, int64_t width, std::span<const double> corners,
                     const std::string& where) {
  size_t crossings = 0;
  return fill_polygon(height, width, corners, where, crossings);
}

void check_polygon(std::span<const double> corners, const std::string& where) {
  ATROUS_CHECK(corners.size() >= 6 && corners.size() % 2 == 0, ErrorKind::data,
               "[{}] a polygon must be a list x0, y0, x1, y1, ... of at least three corners. Got {} numbers.",
               where, corners.size());
  for (size_t i = 0; i < corners.size(); ++i) {
    ATROUS_CHECK(
        std::abs(corners[i]) <= max_polygon_coordinate, ErrorKind::data,
        "[{}] coordinates of a polygon must be finite and at most {:g} pixels from the corner of the image. "
        "Number {} is {}.",
        where, max_polygon_coordinate, i, corners[i]);
  }
}

Rle rle_from_polygons(int64_t height, int64_t width, const std::vector<std::vector<double>>& polygons,
                      const std::string& where, int64_t* crossings_passed) {
  ATROUS_CHECK(!polygons.empty(), ErrorKind::data,
               "[{}] an object needs at least one polygon. Got an empty list.", where);
  size_t crossings = 0;
  Rle all = fill_polygon(height, width, polygons[0], where, crossings);
  for (size_t i = 1; i < polygons.size(); ++i) {
    const Rle both[] = {std::move(all), fill_polygon(height, width, polygons[i], where, crossings)};
    all = rle_merge(both, MaskSet::union_of);
  }
  if (crossings_passed) *crossings_passed = static_cast<int64_t>(crossings);
  return all;
}

Rle rle_from_box(int64_t height, int64_t width, const CocoBox& box, const std::string& where) {
  const double right = box.x + box.width, bottom = box.y + box.height;
  return rle_from_polygon(
      height, width, std::vector<double>{box.x, box.y, box.x, bottom, right, bottom, right, box.y}, where);
}

}  // namespace atrous::data
