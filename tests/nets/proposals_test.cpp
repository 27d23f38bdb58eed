// Which boxes the two stages of Mask R-CNN keep, and what their losses are divided by: numbers worked out by
// hand.
#include <catch2/catch.hpp>
#include <cmath>

#include "nets/box_sampler.h"
#include "nets/roi_heads.h"
#include "nets/rpn.h"

using namespace atrous;
using namespace atrous::nets;

namespace {

Tensor boxes(const std::vector<float>& corners) {
  return Tensor::from<float>({static_cast<int64_t>(corners.size()) / 4, 4}, corners);
}

std::vector<float> list(const Tensor& t) {
  const Tensor dense = t.contiguous_copy_if_needed();
  return {dense.data<float>(), dense.data<float>() + dense.numel()};
}

DetectionOptions some_options() {
  DetectionOptions o;
  o.anchor_sizes = {16};
  o.rpn_pre_nms_train = 4;
  o.rpn_pre_nms_test = 2;
  o.rpn_post_nms_train = 6;
  o.rpn_post_nms_test = 3;
  o.box_samples = 4;
  o.sampler = nets::SamplerKind::first;
  return o;
}

// Anchors that are proposed as they are: offsets of zero.
ScoredAnchors anchors(const std::vector<float>& corners, const std::vector<float>& scores,
                      const std::vector<int64_t>& per_map) {
  const auto count = static_cast<int64_t>(scores.size());
  return {boxes(corners), per_map, Variable(Tensor::from<float>({1, count}, scores), true),
          Variable(Tensor::zeros({1, 4 * count}), true)};
}

std::vector<float> proposed(const DetectionOptions& o, const ScoredAnchors& scored, bool training = false) {
  return list(RegionProposals(o, 4, {4}, 1).propose(scored, {{100, 200}}, training).at(0));
}

// Heads whose predictions are their biases, whatever they see.
std::shared_ptr<RoiHeads> heads(const DetectionOptions& o, const std::vector<float>& scores,
                                const std::vector<float>& deltas) {
  const auto net = std::make_shared<RoiHeads>(
      o, RoiHeadsForm{
             .channels = 1, .classes = static_cast<int64_t>(scores.size()), .box_width = 2, .masks = false});
  net->initialise(1);
  for (const layers::NamedParameter& p : net->parameters()) {
    const Tensor value = p.variable.value();
    if (p.name.ends_with("box_predictor.cls_score.bias")) {
      value.copy_from(Tensor::from<float>(value.shape(), scores));
    } else if (p.name.ends_with("box_predictor.bbox_pred.bias")) {
      value.copy_from(Tensor::from<float>(value.shape(), deltas));
    } else if (p.name.find("box_predictor") != std::string::npos) {
      value.fill(0);
    }
  }
  net->eval();
  return net;
}

RegionMaps flat_map() {
  return {{Variable(Tensor::full({1, 32, 32, 1}, 1))}, {4}};
}

}  // namespace

TEST_CASE("the smallest proposal is 1e-3 pixels wide and high") {
  const float least = 1e-3f, less = std::nextafter(least, 0.0f);
  const std::vector<float> wide{0, 0, least, 10}, high{0, 0, 10, least};
  const ScoredAnchors scored =
      anchors({0, 0, less, 10, 0, 0, least, 10, 0, 0, 10, less, 0, 0, 10, least}, {4, 3, 2, 1}, {2, 2});
  CHECK(proposed(some_options(), scored) ==
        std::vector<float>{wide[0], wide[1], wide[2], wide[3], high[0], high[1], high[2], high[3]});
}

TEST_CASE("proposals: the best of each map, then the best of all, in numbers of training and of inference") {
  // Nine boxes apart from each other, 5 of a fine map and 4 of a coarse one; x1 tells which.
  std::vector<float> corners;
  for (int i = 0; i < 9; ++i) {
    const auto x = static_cast<float>(20 * i);
    corners.insert(corners.end(), {x, 0, x + 10, 10});
  }
  const ScoredAnchors scored = anchors(corners, {1, 9, 2, 8, 3, 4, 5, 6, 7}, {5, 4});
  const auto firsts = [&](bool training) {
    const std::vector<float> all = proposed(some_options(), scored, training);
    std::vector<int> numbers;
    for (size_t i = 0; i < all.size(); i += 4) numbers.push_back(static_cast<int>(all[i]) / 20);
    return numbers;
  };
  CHECK(firsts(false) == std::vector<int>{1, 3, 8});          // of 1 and 3, 8 and 7
  CHECK(firsts(true) == std::vector<int>{1, 3, 8, 7, 6, 5});  // of 1, 3, 4, 2 and all of the other
}

TEST_CASE("proposals: clipped to the image, scored and suppressed within their map") {
  DetectionOptions o = some_options();
  o.rpn_pre_nms_test = o.rpn_post_nms_test = 10;
  // A sigmoid of 0 is 0.5.
  o.rpn_score = 0.5;
  CHECK(proposed(o, anchors({0, 0, 10, 10, 50, 0, 60, 10}, {0, -0.001f}, {2})) ==
        std::vector<float>{0, 0, 10, 10});
  CHECK(proposed(o, anchors({150, -20, 250, 130}, {1}, {1})) == std::vector<float>{150, 0, 200, 100});
  o.rpn_nms = 0.5;
  const std::vector<float> half = {0, 0, 10, 10, 0, 0, 10, 5};  // overlap 0.5
  CHECK(proposed(o, anchors(half, {2, 1}, {2})) == half);
  o.rpn_nms = 0.4999;
  CHECK(proposed(o, anchors(half, {2, 1}, {2})) == std::vector<float>{0, 0, 10, 10});
  CHECK(proposed(o, anchors(half, {2, 1}, {1, 1})) == half);
}

TEST_CASE("losses of the proposal network are means over the sampled anchors") {
  DetectionOptions o = some_options();
  // Of two objects: the first anchor is the first one, the second overlaps it by 0.5, the last has the
  // second one's best overlap, 0.4. The other two see nothing.
  ScoredAnchors scored = anchors({0, 0, 10, 10, 0, 0, 10, 5, 50, 0, 60, 10, 70, 0, 80, 10, 90, 0, 100, 4},
                                 {0, 100, 0, 0, 0}, {5});
  scored.deltas.value().data<float>()[0] = 0.5f;
  Rng rng(1);
  const RegionProposals net(o, 4, {4}, 1);
  const auto losses = net.losses(scored, {boxes({0, 0, 10, 10, 90, 0, 100, 10})}, rng);
  // Two positives and two negatives count, each log 2; the one between the thresholds, with a logit of 100,
  // does not.
  CHECK(losses.objectness.value().item() == Approx(std::log(2.0)));
  // Smooth L1 with beta 1/9 of the first: 0.5. Of the last, the object is 3 lower and 2.5 times as high: 3/4
  // and log 2.5.
  const double first = 0.5 - 1.0 / 18, last = 0.75 - 1.0 / 18 + std::log(2.5) - 1.0 / 18;
  CHECK(losses.box_reg.value().item() == Approx((first + last) / 4).epsilon(1e-5));
}

TEST_CASE("few positives: negatives fill the samples up") {
  std::vector<int32_t> labels(100, 0);
  labels[3] = labels[50] = 1;
  Rng rng(1);
  const Sampled s = sample_balanced(labels, {.samples = 32, .positive_fraction = 0.5}, rng);
  CHECK(s.positives == std::vector<int32_t>{3, 50});
  CHECK(s.negatives.size() == 30);
}

TEST_CASE(
    "regions: those of 112 to 224 pixels are cut from the map of stride 8, twice as large ones from the "
    "next") {
  DetectionOptions o = some_options();
  RegionMaps maps{{}, {4, 8, 16, 32}};
  for (int64_t l = 0; l < 4; ++l) {
    const int64_t size = 1024 / maps.strides[static_cast<size_t>(l)];
    maps.maps.emplace_back(Tensor::full({1, size, size, 1}, static_cast<double>(l)));
  }
  const auto net = heads(o, {0, 0}, std::vector<float>(8, 0));
  const auto level = [&](float width, float height) {
    int64_t found = -1;
    net->detect(maps, {boxes({0, 0, width, height})}, {{1024, 1024}},
                [&](const std::string& name, const Tensor& value) {
                  if (name == "box_features") found = std::lround(value.data<float>()[24]);
                });
    return found;
  };
  CHECK(level(10, 10) == 0);
  CHECK(level(111, 111) == 0);
  CHECK(level(112, 112) == 1);
  CHECK(level(223, 223) == 1);
  CHECK(level(223.9999f, 223.9999f) == 2);  // torchvision's 1e-6
  CHECK(level(224, 224) == 2);
  CHECK(level(112, 448) == 2);  // by area
  CHECK(level(447, 447) == 2);
  CHECK(level(448, 448) == 3);
  CHECK(level(1000, 1000) == 3);
}

TEST_CASE(
    "detections: scores above the threshold, boxes of 1e-2 pixels, overlaps and numbers at their limits") {
  DetectionOptions o = some_options();
  o.max_detections = 10;
  const std::vector<float> none(8, 0);
  const auto found = [&](const std::vector<float>& proposals, const std::vector<float>& deltas) {
    return heads(o, {0, 0}, deltas)->detect(flat_map(), {boxes(proposals)}, {{100, 200}}, {}).at(0);
  };
  const std::vector<float> one = {10, 10, 20, 30};
  o.box_score = 0.5;  // of two classes that are equally likely
  CHECK(found(one, none).size() == 0);
  o.box_score = 0.4999;
  const layers::Detections d = found(one, none);
  REQUIRE(d.size() == 1);  // the background is none
  CHECK(d.labels[0] == 1);
  CHECK(d.scores[0] == Approx(0.5));
  CHECK(list(d.boxes) == one);
  // 10 x 20: a delta of 1 is a tenth of a side, one of 5 log 2 doubles it. Those of the background are not
  // used.
  const auto ln = static_cast<float>(5 * std::log(2.0));
  const std::vector<float> moved = list(found(one, {9, 9, 9, 9, 1, 2, ln, 0}).boxes);
  const std::vector<double> expected = {16 - 10, 24 - 10, 16 + 10, 24 + 10};
  REQUIRE(moved.size() == 4);
  for (size_t i = 0; i < 4; ++i) CHECK(moved[i] == Approx(expected[i]));
  const float least = 1e-2f, less = std::nextafter(least, 0.0f);
  CHECK(list(found({0, 0, less, 10, 0, 20, least, 30}, none).boxes) == std::vector<float>{0, 20, least, 30});
  const std::vector<float> half = {0, 0, 10, 10, 0, 0, 10, 5};
  o.box_nms = 0.5;
  CHECK(found(half, none).size() == 2);
  o.box_nms = 0.4999;
  CHECK(found(half, none).size() == 1);
  o.max_detections = 2;
  CHECK(found({0, 0, 10, 10, 20, 0, 30, 10, 40, 0, 50, 10}, none).size() == 2);
}

TEST_CASE("losses of the heads are means over the sampled regions, the objects themselves among them") {
  const DetectionOptions o = some_options();
  std::vector<float> deltas(8, 0);
  deltas[4] = 1;  // of class 1
  const auto net = heads(o, {0, 0}, deltas);
  net->train();
  Instances truth{.height = 100, .width = 200};
  truth.boxes = boxes({0, 0, 10, 10});
  truth.labels = {1};
  Rng rng(1);
  const auto losses =
      net->losses(flat_map(), {boxes({50, 50, 60, 60, 70, 50, 80, 60})}, {truth}, {{100, 200}}, rng, {});
  CHECK(losses.classifier.value().item() == Approx(std::log(2.0)));
  // One of three is an object: smooth L1 with beta 1/9 of 1.
  CHECK(losses.box_reg.value().item() == Approx((1 - 1.0 / 18) / 3));
}
