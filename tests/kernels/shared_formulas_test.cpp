// Formulas that the reference and the kernels of an op share, so that comparing them shows nothing: by hand.
#include <catch2/catch.hpp>
#include <cmath>

#include "kernels/anchors/anchors.h"
#include "kernels/box_coder/box_coder.h"
#include "kernels/group_norm/group_norm.h"
#include "kernels/layer_norm/layer_norm.h"
#include "kernels/mask_targets/mask_targets.h"
#include "kernels/match_boxes/match_boxes.h"
#include "kernels/paste_masks/paste_masks.h"
#include "kernels/pointwise_loss/pointwise_loss.h"

using namespace atrous;
using namespace atrous::kernels;

namespace {

Tensor boxes(std::initializer_list<float> corners) {
  return Tensor::from<float>({static_cast<int64_t>(corners.size()) / 4, 4}, corners);
}

void check_close(const Tensor& got, const std::vector<double>& want) {
  const Tensor host = got.to(Device::cpu).contiguous_copy_if_needed();
  REQUIRE(host.numel() == static_cast<int64_t>(want.size()));
  for (size_t i = 0; i < want.size(); ++i) {
    INFO("element " << i);
    CHECK(host.data<float>()[i] == Approx(want[i]).epsilon(1e-6).margin(1e-6));
  }
}

std::vector<int32_t> values(const Tensor& t) {
  return {t.data<int32_t>(), t.data<int32_t>() + t.numel()};
}

using Ints = std::vector<int32_t>;

}  // namespace

TEST_CASE("box deltas by hand, each with a weight of its own") {
  // 10 x 20 about (5, 10), and 20 x 10 about (15, 20).
  const Tensor proposal = boxes({0, 0, 10, 20}), reference = boxes({5, 15, 25, 25});
  const BoxCoderOptions weights{.wx = 1, .wy = 2, .ww = 3, .wh = 4};
  const std::vector<double> deltas = {1 * (15 - 5) / 10.0, 2 * (20 - 10) / 20.0, 3 * std::log(2.0),
                                      4 * std::log(0.5)};
  check_close(encode_boxes(reference, proposal, weights), deltas);
  const Tensor given =
      Tensor::from<float>({1, 4}, {static_cast<float>(deltas[0]), static_cast<float>(deltas[1]),
                                   static_cast<float>(deltas[2]), static_cast<float>(deltas[3])});
  check_close(decode_boxes(given, proposal, weights), {5, 15, 25, 25});
  // No box grows more than 62.5 times, however large the delta; it may shrink to nothing.
  check_close(decode_boxes(Tensor::from<float>({1, 4}, {0, 0, 100, 100}), proposal, {}),
              {5 - 312.5, 10 - 625, 5 + 312.5, 10 + 625});
  check_close(decode_boxes(Tensor::from<float>({1, 4}, {0, 0, -100, -100}), proposal, {}), {5, 10, 5, 10});
}

TEST_CASE("boxes are clipped to the extents of the image") {
  check_close(clip_boxes(boxes({-1, -2, 700, 500, 599.5f, 1, 600, 400}), 400, 600),
              {0, 0, 600, 400, 599.5, 1, 600, 400});
}

TEST_CASE("halves of anchors are rounded to even") {
  CHECK(rounded_cell_anchors({33}, {1})[0] == std::array<float, 4>{-16, -16, 16, 16});  // 16.5
  CHECK(rounded_cell_anchors({35}, {1})[0] == std::array<float, 4>{-18, -18, 18, 18});  // 17.5
}

TEST_CASE("matches at equality: the first of equal objects, and thresholds that are met") {
  const Tensor twice = boxes({0, 0, 10, 10, 0, 0, 10, 10}), once = boxes({0, 0, 10, 10});
  CHECK(values(match_boxes(twice, once, {0.7, 0.3, false})) == Ints{0});
  CHECK(values(match_boxes(twice, once, {0.7, 0.3, true})) == Ints{0});
  const Tensor half = boxes({0, 0, 10, 5});  // overlap 0.5
  CHECK(values(match_boxes(once, half, {0.5, 0.25, false})) == Ints{0});
  CHECK(values(match_boxes(once, half, {0.75, 0.5, false})) == Ints{match_between});
  CHECK(values(match_boxes(once, half, {0.75, 0.625, false})) == Ints{match_below_low});
}

TEST_CASE("smooth L1 and binary cross-entropy by hand") {
  const Tensor x = Tensor::from<float>({1, 4}, {0.05f, -0.5f, 1.25f, 0}),
               target = Tensor::from<float>({1, 4}, {0, 0, 0.25f, 0});
  // d^2 / (2 beta) below beta = 0.1, else |d| - beta / 2.
  const auto [loss, slope] = smooth_l1(x, target, 0.1, LossReduction::sum, true);
  CHECK(loss.item() == Approx(0.0125 + 0.45 + 0.95 + 0));
  check_close(slope, {0.5, -1, 1, 0});
  const Tensor logits = Tensor::from<float>({1, 2}, {2, -1}),
               targets = Tensor::from<float>({1, 2}, {0.25f, 1});
  const auto [entropy, gradient] =
      binary_cross_entropy_with_logits(logits, targets, LossReduction::mean, true);
  const auto sigmoid = [](double v) { return 1 / (1 + std::exp(-v)); };
  CHECK(entropy.item() ==
        Approx((-0.25 * std::log(sigmoid(2)) - 0.75 * std::log(1 - sigmoid(2)) - std::log(sigmoid(-1))) / 2));
  check_close(gradient, {(sigmoid(2) - 0.25) / 2, (sigmoid(-1) - 1) / 2});
}

TEST_CASE(
    "mask targets by hand: as many samples as a bin has pixels, read without the half pixel of `aligned`") {
  // The left two of four columns are set.
  const Tensor mask = Tensor::from<uint8_t>({1, 4, 4}, {1, 1, 0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1, 0, 0});
  // Bins of 2 pixels: samples at 0.5 and 1.5 read 1 and 1/2, those at 2.5 and 3.5 nothing.
  check_close(mask_targets(mask, Tensor::from<float>({1, 5}, {0, 0, 0, 4, 4}), 2), {0.75, 0, 0.75, 0});
  // Bins of 1.5 pixels, two samples each: 0.375, 1.125, 1.875, 2.625.
  check_close(mask_targets(mask, Tensor::from<float>({1, 5}, {0, 0, 0, 3, 4}), 2),
              {0.9375, 0.0625, 0.9375, 0.0625});
}

TEST_CASE("eps of group and layer norm is added to the variance") {
  // Mean 2, variance 1, and with eps 3 a deviation of 2.
  const Tensor x = Tensor::from<float>({1, 1, 1, 2}, {1, 3}), one = Tensor::full({2}, 1),
               zero = Tensor::zeros({2});
  const Tensor y = Tensor::empty_like(x), mean = Tensor::empty({1, 1}), invstd = Tensor::empty({1, 1});
  group_norm_forward(x, 1, one, zero, 3, Activation::none, y, mean, invstd);
  check_close(y, {-0.5, 0.5});
  check_close(invstd, {0.5});
  const Tensor row_mean = Tensor::empty({1}), row_invstd = Tensor::empty({1});
  y.fill(0);
  layer_norm_forward(x, one, zero, 3, y, row_mean, row_invstd);
  check_close(y, {-0.5, 0.5});
  check_close(row_invstd, {0.5});
}

TEST_CASE("a probability equal to the threshold is pasted by Detectron2's rule alone") {
  const auto area = [](PasteRule rule) {
    const Tensor y = paste_masks(Tensor::full({1, 4, 4}, 0.5), boxes({0, 0, 8, 8}), {8, 8, rule, true, 0.5})
                         .to(DType::f32);
    float sum = 0;
    for (int64_t i = 0; i < y.numel(); ++i) sum += y.data<float>()[i];
    return sum;
  };
  CHECK(area(PasteRule::torchvision) == 0);
  CHECK(area(PasteRule::detectron2) == 36);  // the outermost pixels lie half outside of the mask
}
