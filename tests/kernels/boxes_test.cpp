// What the ops on boxes and regions promise in words: numbers known from torchvision 0.14, and choices at
// equality.
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>

#include "core/device_runtime.h"
#include "kernels/anchors/anchors.h"
#include "kernels/box_coder/box_coder.h"
#include "kernels/box_iou/box_iou.h"
#include "kernels/match_boxes/match_boxes.h"
#include "kernels/nms/nms.h"
#include "kernels/pointwise_loss/pointwise_loss.h"
#include "kernels/roi_align/roi_align.h"
#include "kernels/take_rows/take_rows.h"
#include "kernels/topk/topk.h"

using namespace atrous;
using namespace atrous::kernels;

namespace {

constexpr float not_a_number = std::numeric_limits<float>::quiet_NaN();

Tensor boxes(std::initializer_list<float> corners) {
  return Tensor::from<float>({static_cast<int64_t>(corners.size()) / 4, 4}, corners);
}

std::vector<int32_t> values(const Tensor& t) {
  return {t.data<int32_t>(), t.data<int32_t>() + t.numel()};
}

using Ints = std::vector<int32_t>;

}  // namespace

// AnchorGenerator(((32,), ...), ((0.5, 1.0, 2.0),) * 5).cell_anchors
TEST_CASE("cell anchors are torchvision's") {
  const float halves[][6] = {{23, 11, 16, 16, 11, 23},
                             {45, 23, 32, 32, 23, 45},
                             {91, 45, 64, 64, 45, 91},
                             {181, 91, 128, 128, 91, 181},
                             {362, 181, 256, 256, 181, 362}};
  double size = 32;
  for (const auto& h : halves) {
    const CellAnchors cell = rounded_cell_anchors({size}, {0.5, 1, 2});
    REQUIRE(cell.size() == 3);
    for (size_t i = 0; i < 3; ++i)
      CHECK(cell[i] == std::array<float, 4>{-h[2 * i], -h[2 * i + 1], h[2 * i], h[2 * i + 1]});
    size *= 2;
  }
  // Several sizes: ratio-major here, size-major in Detectron2, which does not round.
  CHECK(rounded_cell_anchors({32, 64}, {0.5, 1})[1] == std::array<float, 4>{-45, -23, 45, 23});
  CHECK(exact_cell_anchors({32, 64}, {0.5, 1})[1] == std::array<float, 4>{-16, -16, 16, 16});
  CHECK(exact_cell_anchors({32}, {0.5})[0][0] == Approx(-22.627417));
  CHECK(exact_cell_anchors({32}, {0.5})[0][3] == Approx(11.3137085));
}

TEST_CASE("anchors of five levels count as in torchvision") {
  const auto count = [](int64_t height, int64_t width) {
    int64_t sum = 0;
    for (int64_t stride : {4, 8, 16, 32, 64}) {
      const int64_t h = (height + stride - 1) / stride, w = (width + stride - 1) / stride;
      sum += anchors({h, w, height / h, width / w, rounded_cell_anchors({32}, {0.5, 1, 2})}).dim(0);
    }
    return sum;
  };
  CHECK(count(800, 1344) == 268569);
  CHECK(count(800, 1088) == 217413);
  // P6 of 800 rows has 13, so that its stride is 61; the second row begins after 21 columns of 3.
  const Tensor p6 = anchors({13, 21, 800 / 13, 1344 / 21, rounded_cell_anchors({512}, {0.5, 1, 2})});
  CHECK(p6.data<float>()[63 * 4 + 1] == 61 - 181);
  CHECK(p6.data<float>()[3 * 4] == 64 - 362);
}

// The work of a graph is replayed when the problem that it was recorded from is gone.
TEST_CASE("anchors of a captured graph need no memory of the host") {
  const Stream stream = Stream::create(Device::sim);
  const StreamGuard on(stream);
  Tensor made;
  const auto work = [&] {
    made = anchors({2, 3, 8, 16, rounded_cell_anchors({32}, {0.5, 1, 2})}, Device::sim);
  };
  for (int warm = 0; warm < 2; ++warm) work();
  const Graph graph = Graph::capture(stream, work);
  graph.launch(stream);
  const Tensor expected = anchors({2, 3, 8, 16, rounded_cell_anchors({32}, {0.5, 1, 2})});
  const Tensor got = made.to(Device::cpu);
  for (int64_t i = 0; i < got.numel(); ++i) CHECK(got.data<float>()[i] == expected.data<float>()[i]);
}

TEST_CASE("boxes that are empty or not finite overlap nothing") {
  constexpr float infinity = std::numeric_limits<float>::infinity();
  const Tensor good = boxes({0, 0, 4, 4});
  const Tensor others =
      boxes({2, 0, 2,        4, 0,         0,         0,        0,        4, 4, 0, 0, not_a_number, 0, 4, 4,
             0, 0, infinity, 4, -infinity, -infinity, infinity, infinity, 4, 0, 8, 4});
  const Tensor iou = box_iou(good, others);
  for (int64_t i = 0; i < iou.numel(); ++i) CHECK(iou.data<float>()[i] == 0);
  CHECK(box_iou(others, others).data<float>()[0] == 0);
  CHECK(box_iou(good, boxes({0, 0, 4, 2})).item() == 0.5);
}

TEST_CASE("an overlap equal to the threshold is kept by nms") {
  const Tensor pair = boxes({0, 0, 4, 4, 0, 0, 4, 2});
  const Tensor scores = Tensor::from<float>({2}, {0.5f, 0.9f});
  CHECK(values(nms(pair, scores, Tensor(), Tensor(), {0.5}).indices) == Ints{1, 0});
  CHECK(values(nms(pair, scores, Tensor(), Tensor(), {0.4999}).indices) == Ints{1, -1});
  // 0.3 in f32 is above 0.3: torchvision compares in double and suppresses.
  const Tensor near = boxes({0, 0, 10, 1, 0, 0, 3, 1});
  REQUIRE(box_iou(near, near).data<float>()[1] == 0.3f);
  CHECK(nms(near, scores, Tensor(), Tensor(), {0.3}).count.item() == 1);
}

TEST_CASE("nms keeps the lower index of equal scores, group by group") {
  const Tensor four = boxes({0, 0, 4, 4, 0, 0, 4, 4, 0, 0, 4, 4, 0, 0, 4, 4});
  const Tensor scores = Tensor::from<float>({4}, {not_a_number, 1, 1, 1});
  const auto keep = [&](std::initializer_list<int32_t> groups, std::initializer_list<uint8_t> valid,
                        int64_t most) {
    const NmsResult r = nms(four, scores, Tensor::from<int32_t>({4}, groups),
                            Tensor::from<uint8_t>({4}, valid), {0.5, 2, most});
    Ints kept = values(r.indices);
    kept.push_back(*r.count.data<int32_t>());
    return kept;
  };
  CHECK(keep({0, 0, 0, 0}, {1, 1, 1, 1}, 0) == Ints{1, -1, -1, -1, 1});
  CHECK(keep({0, 0, 1, 1}, {1, 1, 1, 1}, 0) == Ints{1, 2, -1, -1, 2});
  CHECK(keep({0, 0, 1, 1}, {1, 1, 1, 1}, 1) == Ints{1, 1});
  CHECK(keep({0, 1, 1, 2}, {1, 0, 0, 1}, 0) == Ints{0, -1, -1, -1, 1});  // group 2 is none; NaN is last
  CHECK(keep({-1, 5, 2, 9}, {1, 1, 1, 1}, 0) == Ints{-1, -1, -1, -1, 0});
}

TEST_CASE("low-quality matches are torchvision's") {
  const Tensor truths = boxes({0, 0, 10, 10, 100, 100, 110, 110});
  // Overlaps with the first truth: 0.8, 0.4, 0.1, 0; nothing meets the second one.
  const Tensor four = boxes({0, 0, 10, 8, 0, 0, 10, 4, 0, 0, 10, 1, 50, 50, 60, 60});
  CHECK(values(match_boxes(truths, four, {0.7, 0.3, false})) == Ints{0, -2, -1, -1});
  // The best overlap of the second truth is 0, and all four have it with that: each learns from its own best.
  CHECK(values(match_boxes(truths, four, {0.7, 0.3, true})) == Ints{0, 0, 0, 0});
  // The best of the second truth here is the third box, whose own best is the first truth.
  const Tensor both = boxes({0, 0, 10, 10, 6, 0, 16, 10});
  const Tensor three = boxes({0, 0, 10, 10, 90, 0, 99, 9, 1, 0, 11, 10});
  CHECK(values(match_boxes(both, three, {0.9, 0.3, true})) == Ints{0, -1, 0});
  CHECK(values(match_boxes(boxes({}), three, {})) == Ints{-1, -1, -1});
}

TEST_CASE("topk takes the lower index of equal values, and NaN last") {
  const Tensor row = Tensor::from<float>({1, 7}, {1, not_a_number, 1, -0.0f, 0, 5, not_a_number});
  CHECK(values(topk(row, {7}, 6).indices) == Ints{5, 0, 2, 3, 4, 1});
  const TopKResult two = topk(row, {4, 3}, 2);
  CHECK(values(two.indices) == Ints{0, 2, 5, 4});
  CHECK(two.counts == std::vector<int64_t>{2, 2});
}

TEST_CASE("an index that names no row gives zeros and takes no gradient") {
  const Tensor x = Tensor::from<float>({2, 1}, {3, 4});
  const Tensor index = Tensor::from<int32_t>({5}, {1, -1, 2, 1, 2147483647});
  const Tensor y = take_rows(x, index);
  CHECK(std::vector<float>(y.data<float>(), y.data<float>() + 5) == std::vector<float>{4, 0, 0, 4, 0});
  const Tensor dx = take_rows_backward(Tensor::full({5, 1}, 1), index, 2);
  CHECK(dx.data<float>()[0] == 0);
  CHECK(dx.data<float>()[1] == 2);
}

TEST_CASE("a box of the least size and a score of the least value are usable, unless asked for more") {
  const float below = std::nextafter(2.0f, 0.0f);
  const Tensor four = boxes({0, 0, 2, 2, 0, 0, below, 2, 0, 0, 2, below, 5, 5, 5, 5});
  const Tensor scores = Tensor::from<float>({4}, {0.5f, 1, 1, 0.5f});
  const auto usable = [&](Device device, const UsableOptions& options) {
    return values(usable_boxes(four.to(device), scores.to(device), options).to(Device::cpu).to(DType::i32));
  };
  for (const Device device : {Device::cpu, Device::sim}) {
    CHECK(usable(device, {2, 0.5, false}) == Ints{1, 0, 0, 0});
    CHECK(usable(device, {2, 0.5, true}) == Ints{0, 0, 0, 0});
    CHECK(usable(device, {0, 0.5, false}) == Ints{1, 1, 1, 1});
  }
}

TEST_CASE("smooth_l1 with beta 0 has no slope where nothing differs") {
  for (const Device device : {Device::cpu, Device::sim}) {
    const Tensor x = Tensor::from<float>({3}, {4, 5, 3}).to(device), four = Tensor::full({3}, 4).to(device);
    const auto [loss, gradient] = smooth_l1(x, four, 0, LossReduction::sum, true);
    CHECK(loss.to(Device::cpu).data<float>()[0] == 2);
    const Tensor g = gradient.to(Device::cpu);
    CHECK(std::vector<float>(g.data<float>(), g.data<float>() + 3) == std::vector<float>{0, 1, -1});
  }
}

TEST_CASE("roi_align: a gradient that is not finite reaches only the pixels that its bin reads") {
  // Two bins of one sample each: rows 1, 2 and 9, 10 of a column, rows 5, 6 and 13, 14 of another.
  const RoiAlignOptions options{2, 1, {1}, 1, true};
  const std::vector<Shape> map{{1, 16, 16, 1}};
  const Tensor rois = Tensor::from<float>({2, 5}, {0, 3, -2, 4, 14, 0, 9, 2, 10, 18});
  const Tensor dy = Tensor::from<float>({2, 2, 1, 1}, {not_a_number, 1, not_a_number, 1});
  for (const Device device : {Device::cpu, Device::sim}) {
    const Tensor dx = roi_align_backward(dy.to(device), rois.to(device), {}, map, 0, options).to(Device::cpu);
    int64_t spoiled = 0;
    double sum = 0;
    for (int64_t i = 0; i < dx.numel(); ++i) {
      const float v = dx.data<float>()[i];
      spoiled += std::isnan(v);
      sum += std::isnan(v) ? 0 : static_cast<double>(v);
    }
    CHECK(spoiled == 4);
    CHECK(sum == 2);
  }
}
