// Metrics of the table against hand numbers and definitions that share no code with them.
#include "eval/semantic_metrics.h"

#include <catch2/catch.hpp>
#include <cmath>

#include "core/random.h"

using namespace atrous;
using namespace atrous::eval;

namespace {

using Counts = std::vector<std::vector<int64_t>>;  // [label][prediction]

std::optional<double> score(const Counts& counts, const char* key) {
  ConfusionMatrix m(std::ssize(counts));
  for (size_t r = 0; r < counts.size(); ++r) {
    for (size_t c = 0; c < counts.size(); ++c)
      m.add_pixels(static_cast<int64_t>(r), static_cast<int64_t>(c), counts[r][c]);
  }
  return m.scores({})[key];
}

// The pixels that the counts are of: (label, prediction).
std::vector<std::pair<size_t, size_t>> pixels_of(const Counts& counts) {
  std::vector<std::pair<size_t, size_t>> pixels;
  for (size_t r = 0; r < counts.size(); ++r) {
    for (size_t c = 0; c < counts.size(); ++c)
      pixels.insert(pixels.end(), static_cast<size_t>(counts[r][c]), {r, c});
  }
  return pixels;
}

// Random counts of five classes, of which one is absent, one only labelled and one only predicted.
Counts random_counts(uint64_t seed) {
  Rng rng(seed);
  Counts counts(5, std::vector<int64_t>(5));
  for (size_t r : {0, 1, 2}) {
    for (size_t c : {0, 1, 3}) counts[r][c] = rng.integer(0, 9) + (r == c ? 12 : 0);
  }
  return counts;
}

}  // namespace

TEST_CASE("Cohen's kappa: hand numbers, and 0/0 is no number") {
  CHECK(score({{20, 5}, {10, 15}}, "kappa").value() == Approx(0.4).epsilon(1e-14));  // p_o = 0.7, p_e = 0.5
  CHECK(score({{9, 0}, {0, 3}}, "kappa").value() == 1);
  CHECK(score({{0, 6}, {6, 0}}, "kappa").value() == -1);
  CHECK(score({{8, 4}, {4, 2}}, "kappa").value() == 0);  // independent
  CHECK(score({{5, 0}, {5, 0}}, "kappa").value() == 0);  // predictions know one class
  CHECK_FALSE(score({{7, 0}, {0, 0}}, "kappa"));         // one class, the same everywhere
  CHECK_FALSE(score({{0, 0}, {0, 0}}, "kappa"));         // no pixel
  // n^2 has 67 bits and differs from the sum of products in its last 35: kappa = -1 / (a + 1).
  const int64_t a = 10'000'000'000;
  CHECK(score({{a, 1}, {1, 0}}, "kappa").value() == Approx(-1.0 / static_cast<double>(a + 1)).epsilon(1e-14));
}

TEST_CASE("Cohen's kappa: the accuracy to expect is that of all pairs of a label and a prediction") {
  for (uint64_t seed : {1, 2, 3}) {
    const Counts counts = random_counts(seed);
    const auto pixels = pixels_of(counts);
    double agree = 0, by_chance = 0;
    for (const auto& one : pixels) {
      agree += one.first == one.second;
      for (const auto& other : pixels) by_chance += one.first == other.second;
    }
    const auto n = static_cast<double>(pixels.size());
    const double p_o = agree / n, p_e = by_chance / (n * n);
    CHECK(score(counts, "kappa").value() == Approx((p_o - p_e) / (1 - p_e)).epsilon(1e-13));
  }
}

TEST_CASE("Matthews correlation: hand numbers, and 0/0 is no number") {
  // Two classes: (TP TN - FP FN) / sqrt((TP + FP) (TP + FN) (TN + FP) (TN + FN)).
  CHECK(score({{20, 5}, {10, 15}}, "mcc").value() == Approx(250 / std::sqrt(375000.0)).epsilon(1e-14));
  CHECK(score({{4, 0, 0}, {0, 5, 0}, {0, 0, 1}}, "mcc").value() == 1);
  CHECK(score({{0, 6}, {6, 0}}, "mcc").value() == -1);
  CHECK(score({{8, 4}, {4, 2}}, "mcc").value() == 0);  // independent
  CHECK_FALSE(score({{5, 0}, {5, 0}}, "mcc"));         // predictions know one class
  CHECK_FALSE(score({{5, 5}, {0, 0}}, "mcc"));         // labels have one class
  CHECK_FALSE(score({{0, 0}, {0, 0}}, "mcc"));         // no pixel
  const int64_t a = 10'000'000'000;                    // as for kappa
  CHECK(score({{a, 1}, {1, 0}}, "mcc").value() == Approx(-1.0 / static_cast<double>(a + 1)).epsilon(1e-14));
}

TEST_CASE("Matthews correlation is that of indicators of the class, over pixels and classes") {
  for (uint64_t seed : {1, 2, 3}) {
    const Counts counts = random_counts(seed);
    const auto pixels = pixels_of(counts);
    const auto n = static_cast<double>(pixels.size());
    double together = 0, labels = 0, predictions = 0;
    for (size_t k = 0; k < counts.size(); ++k) {
      double label_mean = 0, prediction_mean = 0;
      for (const auto& [label, prediction] : pixels) {
        label_mean += (label == k) / n;
        prediction_mean += (prediction == k) / n;
      }
      for (const auto& [label, prediction] : pixels) {
        const double x = (label == k) - label_mean, y = (prediction == k) - prediction_mean;
        together += x * y;
        labels += x * x;
        predictions += y * y;
      }
    }
    CHECK(score(counts, "mcc").value() == Approx(together / std::sqrt(labels * predictions)).epsilon(1e-12));
  }
}
