// RoIAlign on numbers that can be checked by hand: on a ramp, the mean of a bin is the value at its centre.
#include "layers/roi_align.h"

#include <catch2/catch.hpp>
#include <cstring>
#include <vector>

#include "core/op_graph.h"
#include "core/parallel.h"
#include "core/random.h"

using namespace atrous;
using layers::RoiAlignOptions;

namespace {

// [1, h, w, 1] holding 10 * row + column.
Tensor ramp(int64_t h, int64_t w) {
  const Tensor t = Tensor::empty({1, h, w, 1});
  for (int64_t i = 0; i < h * w; ++i) {
    const int64_t row = i / w, column = i % w;
    t.data<float>()[i] = static_cast<float>(10 * row + column);
  }
  return t;
}

std::vector<float> list(const Tensor& t) {
  return {t.data<float>(), t.data<float>() + t.numel()};
}

std::vector<float> align(const Tensor& map, std::initializer_list<float> roi,
                         const RoiAlignOptions& options) {
  return list(layers::roi_align({Variable(map)}, Tensor::from<float>({1, 5}, roi), {}, options).value());
}

Tensor random(const Shape& shape, uint64_t seed) {
  Rng rng(seed, 3);
  const Tensor t = Tensor::empty(shape);
  for (int64_t i = 0; i < t.numel(); ++i) t.data<float>()[i] = static_cast<float>(rng.normal());
  return t;
}

// f32 [count, 5]: boxes of two images of 40 x 48 pixels.
Tensor random_rois(int64_t count) {
  Rng rng(7, 4);
  const Tensor rois = Tensor::empty({count, 5});
  for (int64_t r = 0; r < count; ++r) {
    const double x = rng.uniform(-5, 40), y = rng.uniform(-5, 30);
    const double numbers[5] = {static_cast<double>(r % 2), x, y, x + rng.uniform(1, 30),
                               y + rng.uniform(1, 30)};
    for (int k = 0; k < 5; ++k) rois.data<float>()[5 * r + k] = static_cast<float>(numbers[k]);
  }
  return rois;
}

}  // namespace

TEST_CASE("roi_align reads a ramp at the centres of its bins, half a pixel less if aligned") {
  for (const int64_t ratio : {1, 2, 0}) {
    RoiAlignOptions options{2, 2, {1}, ratio, false};
    CHECK(align(ramp(8, 9), {0, 2, 1, 6, 5}, options) == std::vector<float>{23, 25, 43, 45});
    options.aligned = true;
    CHECK(align(ramp(8, 9), {0, 2, 1, 6, 5}, options) == std::vector<float>{17.5, 19.5, 37.5, 39.5});
    options = {2, 2, {0.5}, ratio, false};
    CHECK(align(ramp(8, 9), {0, 4, 2, 12, 10}, options) == std::vector<float>{23, 25, 43, 45});
  }
}

TEST_CASE("roi_align: a pixel is the least extent unless aligned, samples outside count as zeros") {
  // The box is a point: one pixel large, so the centre is half a pixel further; aligned, it stays a point.
  CHECK(align(ramp(8, 9), {0, 3, 2, 3, 2}, {1, 1, {1}, 2, false}) == std::vector<float>{28.5});
  CHECK(align(ramp(8, 9), {0, 3.5, 2.5, 3.5, 2.5}, {1, 1, {1}, 2, true}) == std::vector<float>{23});
  // Adaptive and a point: no samples at all.
  CHECK(align(ramp(8, 9), {0, 3, 2, 3, 2}, {1, 1, {1}, 0, true}) == std::vector<float>{0});
  // Four rows of one sample each: two above the map, which give 0.
  CHECK(align(Tensor::full({1, 4, 4, 1}, 1), {0, 1, -4, 2, 4}, {4, 1, {1}, 1, false}) ==
        std::vector<float>{0, 1, 1, 1});
  CHECK(align(Tensor::full({1, 4, 4, 1}, 1), {0, 1, -4, 2, 4}, {1, 1, {1}, 0, false}) ==
        std::vector<float>{0.625});
}

TEST_CASE("roi_align: regions of images or maps that do not exist are zeros and get no gradient") {
  const Variable a(Tensor::full({1, 4, 4, 1}, 1), true), b(Tensor::full({1, 2, 2, 1}, 2), true);
  const Tensor rois =
      Tensor::from<float>({4, 5}, {0, 0, 0, 2, 2, -1, 0, 0, 2, 2, 0, 0, 0, 2, 2, 0, 0, 0, 2, 2});
  const Tensor levels = Tensor::from<int32_t>({4}, {1, 0, 2, -1});
  const Variable y = layers::roi_align({a, b}, rois, levels, {1, 1, {1, 0.5}, 1, false});
  CHECK(list(y.value()) == std::vector<float>{2, 0, 0, 0});
  backward(y, Tensor::full(y.shape(), 1));
  CHECK(list(a.grad()) == std::vector<float>(16, 0));
  CHECK(list(b.grad()) == std::vector<float>{0.25, 0.25, 0.25, 0.25});
}

TEST_CASE(
    "roi_align gives gradients to the maps that want them, with the same bits on any number of threads") {
  const Tensor rois = random_rois(300), levels = Tensor::empty({300}, DType::i32);
  for (int64_t r = 0; r < 300; ++r) levels.data<int32_t>()[r] = static_cast<int32_t>(r % 3 == 0);
  const RoiAlignOptions options{7, 7, {0.5, 0.25}, 2, false};
  const auto run = [&](int threads) {
    const int before = num_threads();
    set_num_threads(threads);
    const Variable fine(random({2, 20, 24, 33}, 1), true), coarse(random({2, 10, 12, 33}, 2));
    const Variable y = layers::roi_align({fine, coarse}, rois, levels, options);
    backward(y, random(y.shape(), 5));
    set_num_threads(before);
    CHECK_FALSE(coarse.grad().defined());
    return std::pair(y.value(), fine.grad());
  };
  const auto [y, gradient] = run(1);
  for (const int threads : {2, 5}) {
    const auto [other, other_gradient] = run(threads);
    CHECK(std::memcmp(y.raw(), other.raw(), y.bytes()) == 0);
    CHECK(std::memcmp(gradient.raw(), other_gradient.raw(), gradient.bytes()) == 0);
  }
}

TEST_CASE("roi_align on device meta: shapes, and one node of the graph") {
  OpGraph graph;
  const OpGraph::Recording recording(graph);
  const auto empty = [](const Shape& s) { return Tensor::empty(s, DType::f32, Device::meta); };
  const Variable y =
      layers::roi_align({Variable(empty({2, 20, 24, 8}))}, empty({1000, 5}), {}, {7, 7, {0.25}, 2, false});
  CHECK(y.shape() == Shape{1000, 7, 7, 8});
  REQUIRE(graph.nodes().size() == 1);
  CHECK(graph.nodes()[0].entry == "roi_align.forward");
  CHECK(graph.nodes()[0].flops == 0);
}
