// RoIPool on numbers that can be checked by hand.
#include "layers/roi_pool.h"

#include <catch2/catch.hpp>
#include <numeric>
#include <vector>

#include "core/op_graph.h"

using namespace atrous;
using layers::RoiPoolOptions;

namespace {

// [1, 4, 4, 1] holding 0, 1, 2, ...
Tensor counting() {
  const Tensor t = Tensor::empty({1, 4, 4, 1});
  std::iota(t.data<float>(), t.data<float>() + 16, 0.0f);
  return t;
}

std::vector<float> pool(std::initializer_list<float> roi, const RoiPoolOptions& options) {
  const Tensor y = kernels::roi_pool_forward(counting(), Tensor::from<float>({1, 5}, roi), options);
  return {y.data<float>(), y.data<float>() + y.numel()};
}

}  // namespace

TEST_CASE("roi_pool: corners are rounded, halves away from zero, and both belong to the box") {
  CHECK(pool({0, 0, 0, 3, 3}, {2, 2, 1}) == std::vector<float>{5, 7, 13, 15});
  CHECK(pool({0, 0.4f, 0, 2.6f, 3}, {2, 2, 1}) == std::vector<float>{5, 7, 13, 15});
  // From column 1 to 3 (0.5 and 2.5 rounded): bins of 1.5 columns share column 2.
  CHECK(pool({0, 0.5f, 0, 2.5f, 3}, {1, 2, 1}) == std::vector<float>{14, 15});
  CHECK(pool({0, 2, 2, 6, 6}, {1, 1, 0.5}) == std::vector<float>{15});
  // Exchanged corners: one pixel.
  CHECK(pool({0, 2, 1, 0, 0}, {1, 1, 1}) == std::vector<float>{6});
}

TEST_CASE("roi_pool: bins outside of the map are 0 and have index -1") {
  // Rows -2 to 1 in two bins.
  const Tensor rois = Tensor::from<float>({2, 5}, {0, 0, -2, 3, 1, -1, 0, 0, 3, 3});
  const Tensor argmax = Tensor::empty({2, 2, 1, 1}, DType::i32);
  const Tensor y = kernels::roi_pool_forward(counting(), rois, {2, 1, 1}, argmax);
  CHECK(std::vector<float>(y.data<float>(), y.data<float>() + 4) == std::vector<float>{0, 7, 0, 0});
  CHECK(std::vector<int32_t>(argmax.data<int32_t>(), argmax.data<int32_t>() + 4) ==
        std::vector<int32_t>{-1, 7, -1, -1});
}

TEST_CASE("roi_pool: gradients of overlapping regions add up where their maxima are") {
  const Variable x(counting(), true);
  const Tensor rois = Tensor::from<float>({3, 5}, {0, 0, 0, 3, 3, 0, 2, 2, 3, 3, 0, 0, 0, 1, 1});
  const Variable y = layers::roi_pool(x, rois, {1, 1, 1});
  backward(y, Tensor::from<float>({3, 1, 1, 1}, {1, 2, 4}));
  std::vector<float> expected(16, 0.0f);
  expected[15] = 3;
  expected[5] = 4;
  CHECK(std::vector<float>(x.grad().data<float>(), x.grad().data<float>() + 16) == expected);
}

TEST_CASE("roi_pool on device meta: shapes, and one node of the graph") {
  OpGraph graph;
  const OpGraph::Recording recording(graph);
  const auto empty = [](const Shape& s) { return Tensor::empty(s, DType::f32, Device::meta); };
  const Variable y = layers::roi_pool(Variable(empty({1, 38, 63, 8})), empty({300, 5}), {7, 7, 0.0625});
  CHECK(y.shape() == Shape{300, 7, 7, 8});
  CHECK(y.value().device() == Device::meta);
  REQUIRE(graph.nodes().size() == 1);
  CHECK(graph.nodes()[0].entry == "roi_pool.forward");
}
