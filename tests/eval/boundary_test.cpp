#include "eval/boundary.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <map>
#include <set>

#include "core/random.h"

using namespace atrous;
using namespace atrous::eval;

namespace {

// Left part class 0, from column `edge` on class 1.
Tensor halves(int64_t h, int64_t w, int64_t edge) {
  const Tensor t = Tensor::zeros({h, w}, DType::u8);
  for (int64_t y = 0; y < h; ++y) {
    for (int64_t x = edge; x < w; ++x) t.data<uint8_t>()[y * w + x] = 1;
  }
  return t;
}

// Straight from the definition, all pairs of boundary pixels.
std::map<int, double> brute_force(const Tensor& label, const Tensor& prediction, int ignore,
                                  double tolerance) {
  const int64_t h = label.dim(0), w = label.dim(1);
  const double radius = tolerance * std::sqrt(static_cast<double>(h * h + w * w));
  auto value = [&](const Tensor& t, int64_t y, int64_t x) {
    if (y < 0 || x < 0 || y >= h || x >= w || label.data<uint8_t>()[y * w + x] == ignore) return -1;
    return static_cast<int>(t.data<uint8_t>()[y * w + x]);
  };
  auto boundary = [&](const Tensor& t, int c) {
    std::set<std::pair<int64_t, int64_t>> result;
    for (int64_t y = 0; y < h; ++y) {
      for (int64_t x = 0; x < w; ++x) {
        if (value(t, y, x) != c) continue;
        for (auto [dy, dx] : {std::pair{-1, 0}, {1, 0}, {0, -1}, {0, 1}}) {
          const int other = value(t, y + dy, x + dx);
          if (other >= 0 && other != c) result.insert({y, x});
        }
      }
    }
    return result;
  };
  auto share = [&](const auto& from, const auto& to) {
    double hits = 0;
    for (const auto& [y, x] : from) {
      for (const auto& [v, u] : to) {
        if (std::hypot(static_cast<double>(y - v), static_cast<double>(x - u)) <= radius) {
          ++hits;
          break;
        }
      }
    }
    return hits / static_cast<double>(from.size());
  };
  std::map<int, double> result;
  for (int c = 0; c < 255; ++c) {
    bool in_gt = false, in_pred = false;
    for (int64_t y = 0; y < h; ++y) {
      for (int64_t x = 0; x < w; ++x) {
        in_gt = in_gt || value(label, y, x) == c;
        in_pred = in_pred || value(prediction, y, x) == c;
      }
    }
    if (!in_gt && !in_pred) continue;
    result[c] = 0;
    if (!in_gt || !in_pred) continue;
    const auto b_gt = boundary(label, c), b_pred = boundary(prediction, c);
    if (b_gt.empty() && b_pred.empty()) result[c] = 1;
    if (b_gt.empty() || b_pred.empty()) continue;
    const double p = share(b_pred, b_gt), r = share(b_gt, b_pred);
    if (p + r > 0) result[c] = 2 * p * r / (p + r);
  }
  return result;
}

}  // namespace

TEST_CASE("boundary F1 of small cases worked by hand") {
  const Tensor label = halves(30, 40, 20);  // diagonal 50
  // A perfect prediction; and one shifted by exactly the tolerance, and by more.
  CHECK(boundary_f1(label, label, 255).mean.value() == 1.0);
  CHECK(boundary_f1(label, halves(30, 40, 22), 255, 2.0 / 50).mean.value() == 1.0);
  CHECK(boundary_f1(label, halves(30, 40, 23), 255, 2.0 / 50).mean.value() == 0.0);
  // The whole image one class in both maps: no boundary to miss.
  CHECK(boundary_f1(halves(8, 8, 8), halves(8, 8, 8), 255).mean.value() == 1.0);
  // Predicted as one class: class 0 has no boundary in the prediction (0), class 1 is missing (0).
  CHECK(boundary_f1(label, halves(30, 40, 40), 255).mean.value() == 0.0);
  // Nothing to score.
  CHECK_FALSE(boundary_f1(Tensor::full({4, 4}, 255, DType::u8), halves(4, 4, 2), 255).mean);
}

TEST_CASE("the rim of an ignored region is no boundary") {
  const Tensor label = halves(10, 10, 10);
  for (int64_t i = 0; i < 100; ++i) {
    if (i % 10 >= 5) label.data<uint8_t>()[i] = 255;
  }
  // Whatever is predicted under it does not count.
  CHECK(boundary_f1(label, halves(10, 10, 5), 255).mean.value() == 1.0);
}

TEST_CASE("an excluded class has no boundary score, and bounds its neighbours") {
  const Tensor label = halves(30, 40, 20), prediction = halves(30, 40, 20);
  for (int64_t i = 0; i < 3; ++i) prediction.data<uint8_t>()[i] = 2;  // in a corner of class 0
  const BoundaryF1 all = boundary_f1(label, prediction, 255);
  const BoundaryF1 some = boundary_f1(label, prediction, 255, boundary_tolerance,
                                      {.names = {}, .excluded = {false, false, true}});
  CHECK(all.per_class[2].value() == 0);
  CHECK_FALSE(some.per_class[2]);
  CHECK(some.per_class[0] == all.per_class[0]);
  CHECK(some.per_class[0].value() < 1);
  CHECK(some.mean.value() == Approx((*all.per_class[0] + *all.per_class[1]) / 2));
  CHECK(all.mean.value() == Approx((*all.per_class[0] + *all.per_class[1]) / 3));
}

TEST_CASE("boundary F1 equals the definition evaluated over all pairs") {
  Rng rng(3);
  for (int round = 0; round < 6; ++round) {
    const Tensor label = Tensor::empty({19, 26}, DType::u8);
    const Tensor prediction = Tensor::empty({19, 26}, DType::u8);
    for (int64_t y = 0; y < 19; ++y) {
      for (int64_t x = 0; x < 26; ++x) {
        const int64_t i = y * 26 + x;
        label.data<uint8_t>()[i] = static_cast<uint8_t>((x / 7 + y / 6) % 3);
        prediction.data<uint8_t>()[i] = static_cast<uint8_t>(((x + round) / 7 + y / 6) % 3);
        if (rng.coin(0.05)) prediction.data<uint8_t>()[i] = static_cast<uint8_t>(rng.integer(0, 4));
        if (rng.coin(0.05)) label.data<uint8_t>()[i] = 255;
      }
    }
    for (double tolerance : {0.02, 0.05, 0.1}) {
      const BoundaryF1 got = boundary_f1(label, prediction, 255, tolerance);
      const std::map<int, double> want = brute_force(label, prediction, 255, tolerance);
      double sum = 0;
      for (int c = 0; c < 255; ++c) {
        CHECK(got.per_class[static_cast<size_t>(c)].has_value() == want.contains(c));
        if (!want.contains(c)) continue;
        CHECK(got.per_class[static_cast<size_t>(c)].value() == Approx(want.at(c)).epsilon(1e-12));
        sum += want.at(c);
      }
      CHECK(got.mean.value() == Approx(sum / static_cast<double>(want.size())).epsilon(1e-12));
    }
  }
}

TEST_CASE("boundary F1 of a set: a class is averaged over the images that hold it, the set over images") {
  const Tensor label = halves(30, 40, 20);
  BoundaryMean mean;
  mean.add(boundary_f1(label, label, 255));                                           // 0: 1, 1: 1
  mean.add(boundary_f1(halves(8, 8, 8), halves(8, 8, 8), 255));                       // 0: 1
  mean.add(boundary_f1(label, halves(30, 40, 40), 255));                              // 0: 0, 1: 0
  mean.add(boundary_f1(Tensor::full({4, 4}, 255, DType::u8), halves(4, 4, 2), 255));  // nothing
  const SemanticScores scores = ConfusionMatrix(3).scores({}, &mean);
  CHECK(scores["boundary_f1"].value() == Approx(2.0 / 3));
  CHECK(scores.per_class[0]["boundary_f1"].value() == Approx(2.0 / 3));
  CHECK(scores.per_class[1]["boundary_f1"].value() == Approx(0.5));
  CHECK_FALSE(scores.per_class[2]["boundary_f1"]);
}
