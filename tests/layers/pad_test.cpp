#include "layers/pad.h"

#include <catch2/catch.hpp>

using namespace atrous;
using layers::PadMode;

namespace {

std::vector<float> padded_row(const layers::PadOptions& options) {
  const Tensor y = layers::pad(Variable(Tensor::from<float>({1, 1, 4, 1}, {1, 2, 3, 4})), options).value();
  return {y.data<float>(), y.data<float>() + y.numel()};
}

}  // namespace

TEST_CASE("the three ways of padding a row") {
  using V = std::vector<float>;
  CHECK(padded_row({0, 0, 2, 1, PadMode::constant, 9}) == V{9, 9, 1, 2, 3, 4, 9});
  CHECK(padded_row({0, 0, 2, 1, PadMode::replicate}) == V{1, 1, 1, 2, 3, 4, 4});
  CHECK(padded_row({0, 0, 2, 1, PadMode::reflect}) == V{3, 2, 1, 2, 3, 4, 3});
  CHECK(padded_row({0, 0, -1, -1}) == V{2, 3});
}

TEST_CASE("reflect hands gradients back to what it mirrored") {
  const Variable x(Tensor::from<float>({1, 1, 3, 1}, {1, 2, 3}), true);
  backward(layers::pad(x, {0, 0, 1, 1, PadMode::reflect}),
           Tensor::from<float>({1, 1, 5, 1}, {10, 1, 2, 3, 20}));
  const float expected[] = {1, 32, 3};
  for (int i = 0; i < 3; ++i) CHECK(x.grad().data<float>()[i] == expected[i]);
}

TEST_CASE("center_crop rounds its offsets down") {
  const Tensor x = Tensor::from<float>({1, 1, 5, 1}, {1, 2, 3, 4, 5});
  const Tensor y = layers::center_crop(Variable(x), 1, 2).value();
  CHECK(y.data<float>()[0] == 2);
  CHECK(y.data<float>()[1] == 3);
}
