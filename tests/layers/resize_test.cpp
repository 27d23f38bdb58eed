#include "layers/resize.h"

#include <catch2/catch.hpp>

using namespace atrous;
using layers::ResizeMode;

namespace {

std::vector<float> resized_row(std::initializer_list<float> row, int64_t width, ResizeMode mode,
                               bool align_corners) {
  const Tensor x = Tensor::from<float>({1, 1, static_cast<int64_t>(row.size()), 1}, row);
  const Tensor y = layers::resize(Variable(x), {1, width, mode, align_corners}).value();
  return {y.data<float>(), y.data<float>() + width};
}

}  // namespace

TEST_CASE("bilinear resize follows PyTorch's two conventions") {
  using V = std::vector<float>;
  // Half-pixel centres: positions -0.25 (clamped to 0), 0.25, 0.75, 1.25 (the last sample is repeated).
  CHECK(resized_row({0, 4}, 4, ResizeMode::bilinear, false) == V{0, 1, 3, 4});
  CHECK(resized_row({0, 3}, 4, ResizeMode::bilinear, true) == V{0, 1, 2, 3});
  CHECK(resized_row({0, 1, 2, 3}, 2, ResizeMode::bilinear, false) == V{0.5, 2.5});
  CHECK(resized_row({0, 1, 2, 3}, 2, ResizeMode::bilinear, true) == V{0, 3});
  CHECK(resized_row({5, 1, 2, 3}, 1, ResizeMode::bilinear, true) == V{5});
}

TEST_CASE("nearest resize takes floor(i * in / out)") {
  using V = std::vector<float>;
  CHECK(resized_row({1, 2, 3}, 5, ResizeMode::nearest, false) == V{1, 1, 2, 2, 3});
  CHECK(resized_row({1, 2, 3, 4, 5}, 2, ResizeMode::nearest, false) == V{1, 3});
}

TEST_CASE("resize writes into a slice of a concatenation") {
  const int64_t channels[] = {1, 2};
  const ConcatBuffer buffer(Shape{1, 2, 2}, channels, DType::f32, Device::cpu);
  buffer.slice(0).fill(-1);
  const Tensor x = Tensor::from<float>({1, 1, 1, 2}, {3, 4});
  for (ResizeMode mode : {ResizeMode::bilinear, ResizeMode::nearest}) {
    buffer.slice(1).fill(0);
    layers::resize(Variable(x), {2, 2, mode}, buffer.slice(1));
    for (int p = 0; p < 4; ++p) {
      CHECK(buffer.whole().data<float>()[3 * p] == -1);
      CHECK(buffer.whole().data<float>()[3 * p + 1] == 3);
      CHECK(buffer.whole().data<float>()[3 * p + 2] == 4);
    }
  }
}
