#include "eval/metrics.h"

#include <catch2/catch.hpp>
#include <set>

#include "core/error.h"
#include "core/parallel.h"
#include "core/random.h"
#include "eval/semantic_metrics.h"

using namespace atrous;
using namespace atrous::eval;

namespace {

struct Maps {
  Tensor label;
  Tensor prediction;
};

// Random maps over the classes in `used`; a sixth of the label pixels is ignored.
Maps random_maps(const Shape& shape, const std::vector<int>& used, uint64_t seed, DType dtype = DType::u8) {
  Rng rng(seed);
  Maps m{Tensor::empty(shape, DType::i32), Tensor::empty(shape, DType::i32)};
  for (int64_t i = 0; i < shape.numel(); ++i) {
    auto draw = [&] {
      return used[static_cast<size_t>(rng.integer(0, static_cast<int64_t>(used.size()) - 1))];
    };
    m.label.data<int32_t>()[i] = rng.coin(1.0 / 6) ? 255 : draw();
    m.prediction.data<int32_t>()[i] =
        rng.coin(0.6) && m.label.data<int32_t>()[i] != 255 ? m.label.data<int32_t>()[i] : draw();
  }
  return {m.label.to(dtype), m.prediction.to(dtype)};
}

// The scores from sets of pixels, with no confusion matrix: shares nothing with the code under test.
struct BruteForce {
  double miou = 0, pixel_accuracy = 0, mean_accuracy = 0, fw_iou = 0, mean_dice = 0;
  int64_t present = 0, pixels = 0, ignored = 0;
  std::vector<double> iou;

  BruteForce(const std::vector<Maps>& images, int classes) {
    std::vector<std::set<std::pair<size_t, int64_t>>> gt(static_cast<size_t>(classes)), pred(gt);
    int64_t right = 0;
    for (size_t image = 0; image < images.size(); ++image) {
      const Tensor label = images[image].label.to(DType::i32);
      const Tensor prediction = images[image].prediction.to(DType::i32);
      for (int64_t i = 0; i < label.numel(); ++i) {
        const int g = label.data<int32_t>()[i];
        const int p = prediction.data<int32_t>()[i];
        if (g == 255) {
          ++ignored;
          continue;
        }
        ++pixels;
        right += g == p;
        gt[static_cast<size_t>(g)].insert({image, i});
        pred[static_cast<size_t>(p)].insert({image, i});
      }
    }
    int64_t with_gt = 0;
    for (size_t c = 0; c < gt.size(); ++c) {
      double both = 0;
      for (const auto& p : gt[c]) both += static_cast<double>(pred[c].count(p));
      const auto g = static_cast<double>(gt[c].size());
      const auto p = static_cast<double>(pred[c].size());
      iou.push_back(g + p > 0 ? both / (g + p - both) : -1);
      if (g + p > 0) {
        ++present;
        miou += both / (g + p - both);
        mean_dice += 2 * both / (g + p);
      }
      if (g > 0) {
        ++with_gt;
        mean_accuracy += both / g;
        fw_iou += g / static_cast<double>(pixels) * (both / (g + p - both));
      }
    }
    miou /= static_cast<double>(present);
    mean_dice /= static_cast<double>(present);
    mean_accuracy /= static_cast<double>(with_gt);
    pixel_accuracy = static_cast<double>(right) / static_cast<double>(pixels);
  }
};

SemanticScores scores_of(const std::vector<Maps>& images, int64_t classes) {
  ConfusionMatrix m(classes);
  for (const Maps& i : images) m.add(i.label, i.prediction, 255);
  return m.scores({});
}

}  // namespace

TEST_CASE("scores equal a brute-force computation, with ignored pixels and absent classes") {
  const std::vector<std::vector<int>> uses = {{0, 1, 2, 3, 4, 5}, {0, 2, 5}, {3}, {1, 4}};
  for (size_t u = 0; u < uses.size(); ++u) {
    for (DType dtype : {DType::u8, DType::i32}) {
      const std::vector<Maps> images = {random_maps({17, 23}, uses[u], 2 * u + 1, dtype),
                                        random_maps({40, 9}, uses[u], 2 * u + 2, dtype)};
      const BruteForce want(images, 6);
      const SemanticScores got = scores_of(images, 6);
      CHECK(got["miou"] == Approx(want.miou).epsilon(1e-13));
      CHECK(got["pixel_accuracy"] == Approx(want.pixel_accuracy).epsilon(1e-13));
      CHECK(got["mean_accuracy"] == Approx(want.mean_accuracy).epsilon(1e-13));
      CHECK(got["fw_iou"] == Approx(want.fw_iou).epsilon(1e-13));
      CHECK(got["mean_dice"] == Approx(want.mean_dice).epsilon(1e-13));
      CHECK(got.pixels == want.pixels);
      CHECK(got.ignored_pixels == want.ignored);
      CHECK(got.classes_in_mean == want.present);
      CHECK(got.absent_classes == 6 - want.present);
      for (size_t c = 0; c < 6; ++c)
        CHECK(got.per_class[c]["iou"].value_or(-1) == Approx(want.iou[c]).epsilon(1e-13));
    }
  }
}

TEST_CASE("how images are batched changes no digit, nor does the number of threads") {
  // Big enough for several chunks per map.
  const Maps whole = random_maps({6, 200, 300}, {0, 1, 2, 4}, 7);
  const SemanticScores at_once = scores_of({whole}, 5);
  const int before = num_threads();
  for (int threads : {1, 3}) {
    set_num_threads(threads);
    for (int64_t batch : {1, 2, 3}) {
      std::vector<Maps> parts;
      for (int64_t i = 0; i < 6; i += batch) {
        parts.push_back({whole.label.narrow_batch(i, batch), whole.prediction.narrow_batch(i, batch)});
      }
      const SemanticScores s = scores_of(parts, 5);
      CHECK(s["miou"] == at_once["miou"]);
      CHECK(s["mean_dice"] == at_once["mean_dice"]);
      CHECK(s["fw_iou"] == at_once["fw_iou"]);
      CHECK(s.pixels == at_once.pixels);
    }
  }
  set_num_threads(before);
}

TEST_CASE("an absent class is neither 0 nor 1: it leaves the mean") {
  ConfusionMatrix m(3);
  m.add(Tensor::from<uint8_t>({1, 4}, {0, 0, 1, 1}), Tensor::from<uint8_t>({1, 4}, {0, 0, 1, 0}), 255);
  const SemanticScores s = m.scores({{"road", "car"}});
  CHECK(s.per_class[0].name == "road");
  CHECK(s.per_class[2].name == "class2");
  CHECK_FALSE(s.per_class[2]["iou"]);
  CHECK_FALSE(s.per_class[2]["accuracy"]);
  CHECK_FALSE(s.per_class[2]["precision"]);
  CHECK(s.absent_classes == 1);
  CHECK(s["miou"] == Approx((2.0 / 3 + 1.0 / 2) / 2));
  CHECK(s.per_class[1]["precision"].value() == 1.0);
  CHECK(s.per_class[1]["accuracy"].value() == 0.5);
}

TEST_CASE("a class that is only predicted counts as IoU 0 and has no accuracy") {
  ConfusionMatrix m(2);
  m.add(Tensor::from<uint8_t>({1, 2}, {0, 0}), Tensor::from<uint8_t>({1, 2}, {0, 1}), 255);
  const SemanticScores s = m.scores({});
  CHECK(s.per_class[1]["iou"].value() == 0);
  CHECK_FALSE(s.per_class[1]["accuracy"]);
  CHECK(s["miou"] == Approx(0.25));
  CHECK(s["mean_accuracy"] == Approx(0.5));
}

TEST_CASE("an excluded class is in no mean, though it is predicted; an absent one could be labelled") {
  ConfusionMatrix m(4);
  m.add(Tensor::from<uint8_t>({1, 5}, {0, 0, 2, 2, 255}), Tensor::from<uint8_t>({1, 5}, {0, 1, 2, 2, 1}),
        255);
  const SemanticScores s = m.scores({.names = {}, .excluded = {false, true}});
  CHECK(s.excluded_classes == 1);
  CHECK(s.absent_classes == 1);
  CHECK(s.classes_in_mean == 2);
  CHECK(s["miou"] == Approx((0.5 + 1) / 2));
  CHECK(s["mean_dice"] == Approx((2.0 / 3 + 1) / 2));
  CHECK(s["mean_accuracy"] == Approx((0.5 + 1) / 2));
  CHECK(s["pixel_accuracy"] == 0.75);
  CHECK_FALSE(s.per_class[1]["iou"]);
  CHECK_FALSE(s.per_class[1]["precision"]);
  CHECK(s.per_class[1].predicted == 1);
  // The same counts where the class could be labelled: it counts as 0.
  CHECK(m.scores({})["miou"] == Approx(1.5 / 3));
}

TEST_CASE("a set without scored pixels has no means, and says so") {
  ConfusionMatrix m(2);
  m.add(Tensor::full({2, 2}, 255, DType::u8), Tensor::zeros({2, 2}, DType::u8), 255);
  const SemanticScores s = m.scores({});
  CHECK(s.pixels == 0);
  CHECK(s.ignored_pixels == 4);
  CHECK(s.classes_in_mean == 0);
  for (const SemanticMetric& metric : semantic_metrics()) {
    CAPTURE(metric.key);
    CHECK_FALSE(s[metric.key].has_value());
  }
}

TEST_CASE("predictions under ignored labels are never looked at") {
  ConfusionMatrix m(2);
  m.add(Tensor::from<uint8_t>({1, 2}, {0, 7}), Tensor::from<uint8_t>({1, 2}, {0, 200}), 7);
  CHECK(m.scores({})["pixel_accuracy"] == 1.0);
  CHECK(m.ignored() == 1);
}

TEST_CASE("maps on a device are counted there, and bad values are named just the same") {
  const Tensor label = Tensor::from<uint8_t>({2, 3}, {0, 1, 2, 255, 1, 1});
  const Tensor prediction = Tensor::from<int32_t>({2, 3}, {0, 2, 2, 7, 1, 0});
  ConfusionMatrix on_cpu(3), on_device(3);
  on_cpu.add(label, prediction, 255);
  for (int i = 0; i < 2; ++i) on_device.add(label.to(Device::sim), prediction.to(Device::sim), 255);
  for (int64_t gt = 0; gt < 3; ++gt) {
    for (int64_t p = 0; p < 3; ++p) CHECK(on_device.at(gt, p) == 2 * on_cpu.at(gt, p));
  }
  CHECK(on_cpu.at(1, 2) == 1);
  CHECK(on_device.ignored() == 2);
  CHECK_THROWS_WITH(on_device.add(label.to(Device::sim), prediction.to(Device::sim), 0),
                    Catch::Contains("Got 255 at x=0, y=1"));
  CHECK(on_device.ignored() == 2);  // a bad map leaves the counts alone
}

TEST_CASE("values that are no class are named with their place") {
  ConfusionMatrix m(3);
  const Tensor good = Tensor::zeros({2, 4}, DType::u8);
  const Tensor bad = Tensor::from<uint8_t>({2, 4}, {0, 0, 0, 0, 0, 0, 9, 0});
  CHECK_THROWS_WITH(m.add(bad, good, 255), Catch::Contains("Got 9 at x=2, y=1"));
  CHECK_THROWS_WITH(m.add(good, bad, 255),
                    Catch::Contains("predictions must be classes below 3. Got 9 at x=2, y=1"));
  const Tensor negative = Tensor::from<int32_t>({1, 2}, {0, -1});
  CHECK_THROWS_WITH(m.add(negative, Tensor::zeros({1, 2}, DType::i32), 255),
                    Catch::Contains("Got -1 at x=1, y=0"));
  CHECK_THROWS_WITH(m.add(good, Tensor::zeros({4, 2}, DType::u8), 255),
                    Catch::Contains("must have one size"));
  CHECK_THROWS_WITH(m.add(good, Tensor::zeros({2, 4}), 255), Catch::Contains("u8 or i32"));
  try {
    m.add(bad, good, 255);
  } catch (const Error& e) {
    CHECK(e.kind() == ErrorKind::data);
  }
  CHECK(m.scores({}).pixels == 0);  // a refused image leaves nothing behind
}
