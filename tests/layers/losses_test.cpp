#include "layers/losses.h"

#include <catch2/catch.hpp>
#include <cmath>

#include "core/gradcheck.h"
#include "core/parallel.h"
#include "core/random.h"
#include "layers/cross_entropy.h"
#include "layers/resize.h"
#include "layers/resize_cross_entropy.h"

using namespace atrous;
using namespace atrous::layers;

namespace {

Tensor random_logits(const Shape& shape, DType dtype, uint64_t seed) {
  const Tensor t = Tensor::empty(shape, DType::f64);
  Rng rng(seed);
  for (int64_t i = 0; i < t.numel(); ++i) t.data<double>()[i] = rng.normal();
  return t.to(dtype);
}

Tensor random_labels(const Shape& shape, int64_t classes, uint64_t seed) {
  const Tensor t = Tensor::empty(shape, DType::u8);
  Rng rng(seed);
  for (int64_t i = 0; i < t.numel(); ++i) {
    t.data<uint8_t>()[i] = static_cast<uint8_t>(rng.coin(0.1) ? 255 : rng.integer(0, classes - 1));
  }
  return t;
}

SegmentationOutput whole(const Variable& logits, int64_t height, int64_t width) {
  return {.logits = logits, .aux = {}, .region = {0, 0, height, width}};
}

LossOptions one(const LossTerm& term) {
  return {.terms = {term}, .class_weights = {}};
}

}  // namespace

TEST_CASE("the fused loss equals resize followed by cross-entropy") {
  const Tensor labels = random_labels({2, 33, 26}, 11, 3);
  for (bool align_corners : {false, true}) {
    const Variable a(random_logits({2, 5, 7, 11}, DType::f32, 1), true);
    const Variable b(a.value(), true);
    const Variable fused = resize_cross_entropy(a, labels, align_corners);
    const Variable two_steps =
        cross_entropy(resize(b, {33, 26, ResizeMode::bilinear, align_corners}), labels);
    CHECK(fused.value().item() == Approx(two_steps.value().item()).epsilon(1e-6));
    backward(fused);
    backward(two_steps);
    for (int64_t i = 0; i < a.value().numel(); ++i) {
      CHECK(a.grad().data<float>()[i] == Approx(b.grad().data<float>()[i]).margin(1e-7));
    }
  }
}

TEST_CASE("losses have the same bits on any number of threads") {
  const Tensor labels = random_labels({3, 96, 81}, 21, 5);
  const Tensor z = random_logits({3, 13, 11, 21}, DType::f32, 2);
  const int threads = num_threads();
  std::vector<Tensor> losses, gradients;
  for (int count : {1, 2, 4}) {
    set_num_threads(count);
    const Variable logits(z, true);
    const Variable loss = segmentation_loss(
        whole(logits, 96, 81), labels,
        {.terms = {{}, {.kind = LossKind::dice}, {.kind = LossKind::bootstrapped}, {.kind = LossKind::focal}},
         .class_weights = {}});
    backward(loss);
    losses.push_back(loss.value());
    gradients.push_back(logits.grad());
  }
  set_num_threads(threads);
  for (size_t t = 1; t < losses.size(); ++t) {
    CHECK(losses[t].item() == losses[0].item());
    CHECK(std::equal(gradients[t].data<float>(), gradients[t].data<float>() + gradients[t].numel(),
                     gradients[0].data<float>()));
  }
}

TEST_CASE("dice and soft IoU of one pixel by hand") {
  // p = (1/4, 3/4), label 1. Only class 1 is present: dice (2 * 3/4 + 1) / (3/4 + 1 + 1), IoU (3/4 + 1) /
  // (3/4 + 1 - 3/4 + 1).
  const Variable z(Tensor::from<float>({1, 1, 1, 2}, {0, static_cast<float>(std::log(3.0))}));
  const Tensor label = Tensor::from<uint8_t>({1, 1, 1}, {1});
  CHECK(segmentation_loss(whole(z, 1, 1), label, one({.kind = LossKind::dice})).value().item() ==
        Approx(1 - 2.5 / 2.75));
  CHECK(segmentation_loss(whole(z, 1, 1), label, one({.kind = LossKind::soft_iou})).value().item() ==
        Approx(1 - 1.75 / 2.0));
  CHECK(segmentation_loss(whole(z, 1, 1), label, one({.kind = LossKind::dice, .smooth = 0, .squared = true}))
            .value()
            .item() == Approx(1 - 1.5 / (9.0 / 16 + 1)));
}

TEST_CASE("bootstrapped cross-entropy averages the hardest pixels; ties go to the earlier one") {
  // Losses log 4, log 2, log 2 (equal), log 4/3; the last label is ignored.
  const auto log3 = static_cast<float>(std::log(3.0));
  const Variable z(Tensor::from<float>({1, 1, 5, 2}, {0, log3, 5, 5, 5, 5, 0, log3, 9, -9}), true);
  const Tensor labels = Tensor::from<uint8_t>({1, 1, 5}, {0, 0, 1, 1, 255});
  const Variable loss =
      segmentation_loss(whole(z, 1, 5), labels, one({.kind = LossKind::bootstrapped, .keep_fraction = 0.5}));
  CHECK(loss.value().item() == Approx((std::log(4.0) + std::log(2.0)) / 2));
  backward(loss);
  CHECK(z.grad().data<float>()[2] == Approx(-0.25));
  for (int i = 4; i < 10; ++i) CHECK(z.grad().data<float>()[i] == 0);
  const LossTerm at_least_three{.kind = LossKind::bootstrapped, .keep_fraction = 0.01, .min_kept = 3};
  CHECK(segmentation_loss(whole(z, 1, 5), labels, one(at_least_three)).value().item() ==
        Approx((std::log(4.0) + 2 * std::log(2.0)) / 3));
}

TEST_CASE("the share of the hardest pixels is rounded up, and is one pixel at least") {
  // Losses log 8, log 4, log 2, log 1.5, log 1.25 of class 0; the last label is ignored.
  const auto odds = [](double loss) { return static_cast<float>(std::log(std::exp(loss) - 1)); };
  const double hardest[] = {std::log(8.0), std::log(4.0), std::log(2.0), std::log(1.5), std::log(1.25)};
  std::vector<float> logits;
  for (const double loss : hardest) logits.insert(logits.end(), {0, odds(loss)});
  logits.insert(logits.end(), {-9, 9});
  const Variable z(Tensor::from<float>({1, 1, 6, 2}, logits));
  const Tensor labels = Tensor::from<uint8_t>({1, 1, 6}, {0, 0, 0, 0, 0, 255});
  for (const auto& [fraction, count] :
       {std::pair{0.01, 1}, {0.2, 1}, {0.21, 2}, {0.4, 2}, {0.41, 3}, {0.5, 3}, {0.81, 5}, {1.0, 5}}) {
    CAPTURE(fraction, count);
    double sum = 0;
    for (int i = 0; i < count; ++i) sum += hardest[i];
    const Variable loss = segmentation_loss(whole(z, 1, 6), labels,
                                            one({.kind = LossKind::bootstrapped, .keep_fraction = fraction}));
    CHECK(loss.value().item() == Approx(sum / count));
  }
}

TEST_CASE("the loss is a weighted sum of terms, of both heads, over the region") {
  const Variable z(random_logits({1, 2, 3, 4}, DType::f32, 7));
  const Variable aux(random_logits({1, 1, 2, 4}, DType::f32, 8));
  const Tensor labels = random_labels({1, 6, 7}, 4, 9);
  const Tensor inner = Tensor::empty({1, 4, 3}, DType::u8);
  for (int64_t i = 0; i < 4; ++i) {
    for (int64_t j = 0; j < 3; ++j)
      inner.data<uint8_t>()[i * 3 + j] = labels.data<uint8_t>()[(i + 1) * 7 + j + 2];
  }
  const SegmentationOutput output{.logits = z, .aux = aux, .region = {1, 2, 4, 3}};
  const LossOptions options{.terms = {{.weight = 2}, {.kind = LossKind::focal, .weight = 0.5}},
                            .class_weights = {1, 2, 3, 4},
                            .aux_weight = 0.25};
  auto expected = [&](const Variable& logits) {
    const Tensor weights = Tensor::from<double>({4}, {1, 2, 3, 4});
    return 2 * resize_cross_entropy(logits, inner, false, {.class_weights = weights}).value().item() +
           0.5 * resize_cross_entropy(logits, inner, false, {.gamma = 2, .class_weights = weights})
                     .value()
                     .item();
  };
  CHECK(segmentation_loss(output, labels, options).value().item() ==
        Approx(expected(z) + 0.25 * expected(aux)));
  const Variable other(random_logits({1, 3, 2, 4}, DType::f32, 10));
  const SegmentationOutput scales{
      .logits = z, .aux = {}, .region = {1, 2, 4, 3}, .align_corners = false, .more = {other, aux}};
  CHECK(segmentation_loss(scales, labels, options).value().item() ==
        Approx(expected(z) + expected(other) + expected(aux)));
}

TEST_CASE("gradients of every kind of loss") {
  const Tensor labels = random_labels({2, 5, 4}, 3, 11);
  for (const auto& [kind, name, takes] : names_of(LossKind{})) {
    INFO(name);
    const Variable z(random_logits({2, 3, 2, 3}, DType::f64, 10), true);
    const auto result = gradcheck(
        [&labels, kind = kind](const std::vector<Variable>& in) {
          return segmentation_loss(whole(in[0], 5, 4), labels,
                                   one({.kind = kind, .weight = 1.5, .keep_fraction = 0.5}));
        },
        {z});
    INFO(result.message);
    CHECK(result.ok);
  }
}

TEST_CASE("wrong loss settings and labels are explained") {
  const Variable z(Tensor::zeros({1, 2, 2, 3}));
  const Tensor labels = Tensor::zeros({1, 4, 4}, DType::u8);
  using Catch::Contains;
  CHECK_THROWS_WITH(segmentation_loss(whole(z, 4, 4), labels, {.terms = {}, .class_weights = {1, 2}}),
                    Contains("Got 2 weights for 3 classes"));
  CHECK_THROWS_WITH(segmentation_loss(whole(z, 5, 4), labels, {}), Contains("must lie inside the label map"));
  CHECK_THROWS_WITH(
      segmentation_loss(whole(z, 4, 4), labels, one({.kind = LossKind::bootstrapped, .keep_fraction = 0})),
      Contains("(0, 1]. Got 0"));
  labels.data<uint8_t>()[2 * 4 + 3] = 3;
  const SegmentationOutput part{.logits = z, .aux = {}, .region = {1, 1, 3, 3}};
  CHECK_THROWS_WITH(segmentation_loss(part, labels, {}),
                    Contains("Got label 3 at image 0 of the batch, row 2, column 3"));
}
