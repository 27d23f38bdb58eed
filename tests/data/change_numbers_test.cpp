// Random changes of samples: their ranges, and numbers that can be checked by hand.
#include <cmath>
#include <map>
#include <numbers>
#include <set>

#include "data/augment_internal.h"
#include "data/sampling.h"
#include "data/warp.h"
#include "tests/data/files.h"

using namespace atrous;
using namespace atrous::data;
using namespace atrous::data::test;

namespace {

struct Range {
  double low = 1e300, high = -1e300;
  void see(double v) {
    low = std::min(low, v);
    high = std::max(high, v);
  }
  // Uniform draws come near both ends, and not beyond.
  void check(double from, double to) const {
    INFO(low << " to " << high);
    const double near = 0.03 * (to - from);
    CHECK(low >= from - 1e-5);
    CHECK(low < from + near);
    CHECK(high > to - near);
    CHECK(high <= to + 1e-5);
  }
};

double grey(const float* v) {
  return 0.299 * static_cast<double>(v[0]) + 0.587 * static_cast<double>(v[1]) +
         0.114 * static_cast<double>(v[2]);
}

}  // namespace

TEST_CASE("augment: angles and scales fill their ranges") {
  Range angles, scales;
  int64_t flipped = 0;
  for (uint64_t seed = 0; seed < 400; ++seed) {
    Rng rng(seed);
    const internal::Affine m =
        internal::draw_warp(40, 60, {.scale_min = 0.5, .scale_max = 2, .rotate_degrees = 30}, rng).map;
    angles.see(std::atan2(m.d, m.a) * 180 / std::numbers::pi);
    scales.see(1 / std::hypot(m.a, m.d));  // the map goes from the output to the source
    Rng other(seed);
    flipped += internal::draw_warp(40, 60, {.flip_horizontal = 0.25}, other).map.a < 0;
  }
  angles.check(-30, 30);
  scales.check(0.5, 2);
  CHECK(flipped > 70);
  CHECK(flipped < 130);
}

// A checkpoint repeats only if the map does, to the last bit: another order of its sums changes pixels.
TEST_CASE("augment: the map of a seed stays the same bits") {
  Rng rng(11);
  const internal::Affine m = internal::draw_warp(375, 500,
                                                 {.crop_height = 321,
                                                  .crop_width = 321,
                                                  .scale_min = 0.5,
                                                  .scale_max = 2,
                                                  .flip_horizontal = 1,
                                                  .rotate_degrees = 10,
                                                  .rotate_quarter_turns = true},
                                                 rng)
                                 .map;
  CHECK(m.a == -0x1.38d9861f72e7dp-1);
  CHECK(m.b == -0x1.2f378b712b51fp-4);
  CHECK(m.c == 0x1.35e51eff1b8d5p+8);
  CHECK(m.d == -0x1.2f378b712b51fp-4);
  CHECK(m.e == 0x1.38d9861f72e7dp-1);
  CHECK(m.f == 0x1.160d8eb6420eap+5);
  const internal::Affine back = m.inverse();
  CHECK(back.a == -0x1.9ce6b23245ae8p+0);
  CHECK(back.c == 0x1.fa9ea711ace51p+8);
  CHECK(back.f == 0x1.1fbe863d00f1cp+2);
}

TEST_CASE("augment: colour changes by their formulas, over their ranges") {
  Range brightness, contrast, mixed;
  for (uint64_t seed = 0; seed < 400; ++seed) {
    const auto jittered = [&](std::vector<float> values, const AugmentOptions& o) {
      const Tensor image = Tensor::from<float>({1, 2, 3}, values);
      Rng rng(seed);
      internal::jitter_colors(image, o, rng);
      return std::vector<float>(image.data<float>(), image.data<float>() + 6);
    };
    const auto two = [&](const AugmentOptions& o) {
      return jittered({0.2f, 0.2f, 0.2f, 0.4f, 0.4f, 0.4f}, o);
    };
    brightness.see(static_cast<double>(two({.brightness = 0.5})[0]) / 0.2);
    const auto apart = two({.contrast = 0.5});
    CHECK(apart[0] + apart[3] == Approx(0.6));  // contrast keeps the mean
    contrast.see(static_cast<double>(apart[3] - apart[0]) / 0.2);
    // Both: the mean is that of the brightened picture, from which the distances are scaled.
    const auto both = two({.brightness = 0.25, .contrast = 0.5});
    const double factor = static_cast<double>(both[0] + both[3]) / 0.6;
    mixed.see(factor);
    CHECK(factor == Approx(static_cast<double>(two({.brightness = 0.25})[0]) / 0.2));
    // Saturation keeps the grey value of every pixel.
    const std::vector<float> colors{0.6f, 0.4f, 0.5f, 0.3f, 0.5f, 0.4f};
    const auto saturated = jittered(colors, {.saturation = 0.5});
    for (int p = 0; p < 2; ++p) CHECK(grey(saturated.data() + 3 * p) == Approx(grey(colors.data() + 3 * p)));
  }
  brightness.check(0.5, 1.5);
  contrast.check(0.5, 1.5);
  mixed.check(0.75, 1.25);
}

TEST_CASE("resize: numbers of a shrinking filter, and labels at the centres") {
  // To a half, the triangle spans four pixels: weights 1/4, 3/4, 3/4, 1/4, less what lies outside.
  Sample s;
  s.image = pixels({1, 4, 1}, {0, 100, 200, 255});
  s.label = pixels({1, 4}, {0, 1, 2, 3});
  const Sample half = resize_sample(s, 1, 2, true);
  CHECK(values_of(half.image) == std::vector<int>{71, 209});  // 125 / 1.75 and 366.25 / 1.75
  CHECK(values_of(half.label) == std::vector<int>{1, 3});
  s.image = pixels({5, 1, 1}, {0, 1, 2, 3, 4});
  s.label = pixels({5, 1}, {0, 1, 2, 3, 4});
  CHECK(values_of(resize_sample(s, 2, 1, true).label) == std::vector<int>{1, 3});
  CHECK(values_of(resize_sample(s, 7, 1, true).label) == std::vector<int>{0, 1, 1, 2, 3, 3, 4});
}

TEST_CASE("shuffled orders are each as likely as any other") {
  std::map<std::vector<int64_t>, int> seen;
  for (int64_t epoch = 0; epoch < 2400; ++epoch) ++seen[internal::shuffled_order(4, 7, epoch)];
  CHECK(seen.size() == 24);
  for (const auto& [order, count] : seen) {
    CHECK(count > 60);
    CHECK(count < 145);
  }
}
