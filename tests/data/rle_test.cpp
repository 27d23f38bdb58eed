// Run-length masks and polygons: known strings of COCO's own tools, a plain transcription of the polygon
// rule, and everything a file can claim that it must not get.
#include "data/rle.h"

#include <cmath>
#include <limits>

#include "core/random.h"
#include "tests/data/files.h"

using namespace atrous;
using namespace atrous::data;
using namespace atrous::data::test;

namespace {

using Counts = std::vector<uint32_t>;

// The polygon rule as it is stated: every point of every edge on the fine grid, then the changes of column.
Rle drawn_polygon(int64_t h, int64_t w, const std::vector<double>& xy) {
  std::vector<std::pair<int, int>> corners, points;
  for (size_t i = 0; i + 1 < xy.size(); i += 2)
    corners.emplace_back(static_cast<int>(5 * xy[i] + .5), static_cast<int>(5 * xy[i + 1] + .5));
  corners.push_back(corners[0]);
  for (size_t e = 0; e + 1 < corners.size(); ++e) {
    auto [xs, ys] = corners[e];
    auto [xe, ye] = corners[e + 1];
    const int dx = std::abs(xe - xs), dy = std::abs(ye - ys);
    const bool flip = dx >= dy ? xs > xe : ys > ye;
    if (flip) {
      std::swap(xs, xe);
      std::swap(ys, ye);
    }
    const int steps = std::max(dx, dy);
    for (int d = 0; d <= steps; ++d) {
      const int t = flip ? steps - d : d;
      if (steps == 0) {
        points.emplace_back(xs, ys);
      } else if (dx >= dy) {
        points.emplace_back(xs + t, static_cast<int>(ys + static_cast<double>(ye - ys) / dx * t + .5));
      } else {
        points.emplace_back(static_cast<int>(xs + static_cast<double>(xe - xs) / dy * t + .5), ys + t);
      }
    }
  }
  std::vector<int64_t> crossings;
  for (size_t i = 1; i < points.size(); ++i) {
    if (points[i].first == points[i - 1].first) continue;
    const double x = (std::min(points[i].first, points[i - 1].first) + .5) / 5 - .5;
    if (x != std::floor(x) || x < 0 || x > static_cast<double>(w - 1)) continue;
    const double y = (std::min(points[i].second, points[i - 1].second) + .5) / 5 - .5;
    crossings.push_back(static_cast<int64_t>(x) * h +
                        static_cast<int64_t>(std::ceil(std::clamp(y, 0., static_cast<double>(h)))));
  }
  std::sort(crossings.begin(), crossings.end());
  std::vector<int64_t> counts;
  int64_t before = 0;
  for (int64_t c : crossings) {
    counts.push_back(c - before);
    before = c;
  }
  counts.push_back(h * w - before);
  return rle_from_counts(h, w, counts);
}

Tensor random_mask(int64_t h, int64_t w, double share, Rng& rng) {
  const Tensor mask = Tensor::zeros({h, w}, DType::u8);
  for (int64_t i = 0; i < h * w; ++i) mask.data<uint8_t>()[i] = rng.uniform() < share;
  return mask;
}

}  // namespace

TEST_CASE("rle: masks become runs, column by column, and come back") {
  const Tensor mask = pixels({2, 3}, {0, 1, 1,  //
                                      0, 0, 7});
  const Rle rle = rle_encode(mask);
  CHECK(rle.counts == Counts{2, 1, 1, 2});
  CHECK(values_of(rle_decode(rle)) == std::vector<int>{0, 1, 1, 0, 0, 1});
  CHECK(rle_area(rle) == 3);
  CHECK(rle_box(rle) == CocoBox{1, 0, 2, 2});
  CHECK(rle_encode(Tensor::full({2, 2}, 1, DType::u8)).counts == Counts{0, 4});
  const Rle empty = rle_encode(Tensor::zeros({2, 2}, DType::u8));
  CHECK(empty.counts == Counts{4});
  CHECK(rle_area(empty) == 0);
  CHECK(rle_box(empty) == CocoBox{});
  CHECK(rle_iou(empty, empty, false) == 0);
}

TEST_CASE("rle: area, box, union, intersection and IoU equal what counting pixels gives") {
  Rng rng(3);
  for (int round = 0; round < 200; ++round) {
    const auto h = static_cast<int64_t>(1 + rng.uniform() * 12),
               w = static_cast<int64_t>(1 + rng.uniform() * 12);
    const Tensor a = random_mask(h, w, round % 5 * 0.25, rng), b = random_mask(h, w, rng.uniform(), rng);
    const Rle ra = rle_encode(a), rb = rle_encode(b);
    REQUIRE(same(rle_decode(ra), a));
    REQUIRE(rle_from_string(h, w, rle_to_string(ra)) == ra);
    const Tensor both = Tensor::zeros({h, w}, DType::u8), any = Tensor::zeros({h, w}, DType::u8);
    int64_t n_both = 0, n_any = 0, n_a = 0, x0 = w, y0 = h, x1 = -1, y1 = -1;
    for (int64_t i = 0; i < h * w; ++i) {
      const int pa = a.data<uint8_t>()[i], pb = b.data<uint8_t>()[i];
      n_both += both.data<uint8_t>()[i] = static_cast<uint8_t>(pa & pb);
      n_any += any.data<uint8_t>()[i] = static_cast<uint8_t>(pa | pb);
      if (!pa) continue;
      ++n_a;
      x0 = std::min(x0, i % w);
      x1 = std::max(x1, i % w);
      y0 = std::min(y0, i / w);
      y1 = std::max(y1, i / w);
    }
    const std::vector<Rle> pair = {ra, rb};
    CHECK(rle_merge(pair, MaskSet::union_of) == rle_encode(any));
    CHECK(rle_merge(pair, MaskSet::intersection_of) == rle_encode(both));
    CHECK(rle_area(ra) == n_a);
    if (n_a > 0) {
      const auto d = [](int64_t v) { return static_cast<double>(v); };
      CHECK(rle_box(ra) == CocoBox{d(x0), d(y0), d(x1 - x0 + 1), d(y1 - y0 + 1)});
    }
    const double iou = n_both > 0 ? static_cast<double>(n_both) / static_cast<double>(n_any) : 0;
    CHECK(rle_iou(ra, rb, false) == iou);
    CHECK(rle_iou(ra, rb, true) == (n_both > 0 ? static_cast<double>(n_both) / static_cast<double>(n_a) : 0));
  }
}

TEST_CASE("rle: a box is compared without an extra pixel, against a crowd by the detection's area") {
  CHECK(box_iou({0, 0, 10, 10}, {5, 0, 10, 10}, false) == 50.0 / 150);
  CHECK(box_iou({0, 0, 10, 10}, {5, 0, 10, 10}, true) == 0.5);
  CHECK(box_iou({0, 0, 10, 10}, {10, 0, 10, 10}, false) == 0);  // they touch
  CHECK(box_iou({0, 0, 0, 0}, {0, 0, 0, 0}, false) == 0);
}

TEST_CASE("rle: polygons cover the pixels that COCO's rule gives them") {
  // Strings as COCO's own tools write them.
  const auto text = [](int64_t h, int64_t w, const std::vector<double>& p) {
    return rle_to_string(rle_from_polygon(h, w, p));
  };
  // clang-format off
  CHECK(text(6, 8, {1, 1, 5, 1, 5, 4, 1, 4}) == R"(73300000a0)");
  CHECK(text(6, 8, {0.3, 0.2, 7.9, 2.4, 3.3, 5.9}) == R"(6251N2NO2N1O10N)");
  CHECK(text(6, 8, {-3, -2, 4, -1, 12, 3, 4, 9}) == R"(0332Ni00WO)");
  CHECK(text(20, 20, {10, 1.5, 18.5, 10, 10, 18.5, 1.5, 10}) == R"(a12a02N2N2N2N2N2N2O01N2N2N2N2N2N2NP1)");
  CHECK(text(20, 20, {2, 2, 18, 2, 2, 18, 18, 18}) == R"(i114091G071I051K031M011O0O110M13OM13NO11N11ON31MN51KN71IN916Og0)");
  CHECK(text(1, 1, {0, 0, 1, 0, 1, 1, 0, 1}) == R"(01)");
  CHECK(text(5, 5, {0.1, 0.1, 0.2, 0.1, 0.2, 0.3}) == R"(i0)");
  // clang-format on
}

TEST_CASE("rle: crossings found edge by edge are those of drawing every point") {
  Rng rng(11);
  for (int round = 0; round < 3000; ++round) {
    const auto h = static_cast<int64_t>(1 + rng.uniform() * 40),
               w = static_cast<int64_t>(1 + rng.uniform() * 40);
    std::vector<double> p(static_cast<size_t>(6 + 2 * (round % 9)));
    const double low = round % 3 == 0 ? -60 : 0,
                 size = round % 3 == 0 ? 160 : static_cast<double>(std::max(h, w));
    for (double& v : p) {
      v = low + rng.uniform() * size;
      if (round % 4 == 0) v = std::round(v);  // many ties
      if (round % 4 == 1) v = std::round(v * 10) / 10;
    }
    if (round % 5 == 0) p[2] = p[0], p[3] = p[1];  // a corner twice
    REQUIRE(rle_from_polygon(h, w, p) == drawn_polygon(h, w, p));
  }
}

TEST_CASE("rle: a far corner costs no time, and a polygon outside covers nothing") {
  const double far = max_polygon_coordinate;
  CHECK(rle_area(rle_from_polygon(4, 5, std::vector<double>{-far, -far, far, -far, far, far, -far, far})) ==
        20);
  CHECK(rle_area(rle_from_polygon(4, 5, std::vector<double>{9, 9, 20, 9, 20, 20})) == 0);
  CHECK(rle_area(rle_from_box(4, 5, {1, 1, 3, 2})) == 6);
  CHECK(rle_area(rle_from_polygons(4, 5, {{0, 0, 2, 0, 2, 2, 0, 2}, {1, 0, 3, 0, 3, 2, 1, 2}})) == 6);
}

TEST_CASE("rle: runs of length 0 are folded away") {
  CHECK(rle_from_counts(2, 3, std::vector<int64_t>{1, 0, 1, 2, 0, 1, 1, 0}).counts == Counts{2, 3, 1});
  CHECK(rle_from_counts(2, 3, std::vector<int64_t>{0, 0, 6}).counts == Counts{6});
  CHECK(rle_from_counts(2, 3, std::vector<int64_t>{0, 6, 0}).counts == Counts{0, 6});
}

TEST_CASE("rle: sizes and counts that lie are refused before memory is taken") {
  const auto counts = [](int64_t h, int64_t w, std::vector<int64_t> c) {
    return rle_from_counts(h, w, c, "ann 7");
  };
  const int64_t huge = std::numeric_limits<int64_t>::max();
  CHECK_SAYS(ErrorKind::data, counts(0, 3, {}), "[ann 7]", "between 1 and 268435456 pixels", "height 0");
  CHECK_SAYS(ErrorKind::data, counts(-2, -3, {6}), "height -2");
  // The product of the sides overflows 64 bits; and one that does not, a bomb.
  CHECK_SAYS(ErrorKind::data, counts(huge, huge, {1}), "between 1 and");
  CHECK_SAYS(ErrorKind::data, counts(100000, 100000, {10000000000}), "between 1 and");
  CHECK_SAYS(ErrorKind::data, counts(2, 3, {5}), "2 * 3 = 6", "Got 5");
  CHECK_SAYS(ErrorKind::data, counts(2, 3, {}), "Got 0");
  CHECK_SAYS(ErrorKind::data, counts(2, 3, {3, 4}), "pass it at count 1");
  CHECK_SAYS(ErrorKind::data, counts(2, 3, {3, huge, huge, 5}), "pass it at count 1");
  CHECK_SAYS(ErrorKind::data, counts(2, 3, {8, -2}), "pass it at count 0");
  CHECK_SAYS(ErrorKind::data, counts(2, 3, {3, -2, 5}), "must not be negative", "Count 1 is -2");
}

TEST_CASE("rle: compressed counts are never read beyond their end") {
  const auto read = [](std::string_view text) { return rle_from_string(2, 3, text, "ann 7"); };
  CHECK(read("213").counts == Counts{2, 1, 3});
  CHECK_SAYS(ErrorKind::data, read("21P"), "[ann 7]", "must not end within a count", "3 characters");
  CHECK_SAYS(ErrorKind::data, read(std::string(1000, 'o')), "at most 7 characters");
  CHECK_SAYS(ErrorKind::data, read("2 3"), "'0' to 'o'", "byte 32 at position 1");
  CHECK_SAYS(ErrorKind::data, read("2\xff"), "byte 255");
  CHECK_SAYS(ErrorKind::data, read("2p"), "byte 112");
  CHECK_SAYS(ErrorKind::data, read(std::string_view("2\0", 2)), "byte 0");
  CHECK_SAYS(ErrorKind::data, read("M"), "must not be negative");
  CHECK_SAYS(ErrorKind::data, read("6oooooo?"), "pass it");
  CHECK_SAYS(ErrorKind::data, read(""), "Got 0");
}

TEST_CASE("rle: polygons that are none are refused") {
  const double nan = std::nan(""), inf = std::numeric_limits<double>::infinity();
  const auto polygon = [](std::vector<double> p) { return rle_from_polygon(4, 4, p, "ann 7"); };
  CHECK_SAYS(ErrorKind::data, polygon({0, 0, 1, 1}), "[ann 7]", "at least three corners", "Got 4");
  CHECK_SAYS(ErrorKind::data, polygon({0, 0, 1, 1, 2, 2, 3}), "Got 7");
  CHECK_SAYS(ErrorKind::data, polygon({0, 0, 1, nan, 2, 2}), "must be finite", "Number 3");
  CHECK_SAYS(ErrorKind::data, polygon({0, 0, 1, 1, inf, 2}), "Number 4 is inf");
  CHECK_SAYS(ErrorKind::data, polygon({0, 0, 1, 1, 2, -1e300}), "1e+06 pixels");
  CHECK_SAYS(ErrorKind::data, rle_from_polygons(4, 4, {}, "ann 7"), "at least one polygon");
  CHECK_SAYS(ErrorKind::data, rle_from_polygon(100000, 100000, std::vector<double>{0, 0, 1, 1, 2, 0}),
             "between 1 and");
  // A comb over a wide image: a short file that would take memory without end.
  std::vector<double> comb;
  for (int i = 0; i < 200; ++i) comb.insert(comb.end(), {i % 2 ? 200000. : 0., i % 7 + 0.});
  CHECK_SAYS(ErrorKind::data, rle_from_polygon(8, 200000, comb, "ann 7"), "[ann 7]",
             "16777216 pixel columns");
  // The same in many polygons.
  const std::vector<double> strip = {0, 0, 200000, 0, 200000, 1};
  CHECK(rle_area(rle_from_polygons(8, 200000, {strip, strip}, "ann 7")) > 0);
  CHECK_SAYS(ErrorKind::data, rle_from_polygons(8, 200000, std::vector(50, strip), "ann 7"), "[ann 7]",
             "16777216 pixel columns");
}

TEST_CASE("rle: masks of different sizes cannot be compared or merged") {
  const Rle a = rle_from_box(4, 4, {0, 0, 2, 2}), b = rle_from_box(4, 5, {0, 0, 2, 2});
  const std::vector<Rle> two = {a, b};
  CHECK_SAYS(ErrorKind::data, rle_iou(a, b, false), "one size", "4x4 and 4x5");
  CHECK_SAYS(ErrorKind::data, rle_merge(two, MaskSet::union_of), "one size");
  CHECK_SAYS(ErrorKind::usage, rle_merge({}, MaskSet::union_of), "at least one mask");
}
