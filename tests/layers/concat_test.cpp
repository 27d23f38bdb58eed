#include "layers/concat.h"

#include <catch2/catch.hpp>

using namespace atrous;

TEST_CASE("concat puts channels side by side and hands back slices of the gradient") {
  const Variable a(Tensor::from<float>({1, 1, 2, 1}, {1, 2}), true);
  const Variable b(Tensor::from<float>({1, 1, 2, 2}, {3, 4, 5, 6}), true);
  const Variable y = layers::concat({a, b});
  const float expected[] = {1, 3, 4, 2, 5, 6};
  for (int i = 0; i < 6; ++i) CHECK(y.value().data<float>()[i] == expected[i]);
  const Tensor seed = Tensor::from<float>({1, 1, 2, 3}, {10, 20, 30, 40, 50, 60});
  backward(y, seed);
  // The first part has to wait for its turn; it must not keep the large seed alive meanwhile.
  CHECK_FALSE(a.grad().shares_memory_with(seed));
  CHECK(a.grad().data<float>()[0] == 10);
  CHECK(a.grad().data<float>()[1] == 40);
  CHECK(b.grad().shares_memory_with(seed));
  CHECK(b.grad().pixel_stride() == 3);
  CHECK(b.grad().data<float>()[3] == 50);
}

TEST_CASE("concat_in_place copies nothing") {
  const int64_t channels[] = {2, 1};
  const ConcatBuffer buffer(Shape{1, 1, 2}, channels, DType::f32, Device::cpu);
  buffer.slice(0).fill(7);
  buffer.slice(1).fill(9);
  const Variable a(buffer.slice(0), true);
  const Variable b(buffer.slice(1), true);
  const Variable y = layers::concat_in_place(buffer, {a, b});
  CHECK(y.value().raw() == buffer.whole().raw());
  const float expected[] = {7, 7, 9, 7, 7, 9};
  for (int i = 0; i < 6; ++i) CHECK(y.value().data<float>()[i] == expected[i]);
  backward(y, Tensor::from<float>({1, 1, 2, 3}, {1, 2, 3, 4, 5, 6}));
  CHECK(b.grad().data<float>()[3] == 6);
}

TEST_CASE("a growing concatenation is read while it grows, and copies nothing") {
  // In the middle of a larger buffer.
  const Tensor memory = Tensor::zeros({1, 1, 2, 5}).narrow_channels(1, 3);
  layers::GrowingConcat stack(memory);
  const Tensor first = stack.room(1);
  first.fill(2);
  const Variable a(first, true);
  stack.append(a);
  const Variable seen = stack.value();
  const Tensor second = stack.room(2);
  second.fill(3);
  const Variable b(second, true);
  stack.append(b);
  const Tensor all = stack.value().value();
  CHECK(all.raw() == memory.raw());
  CHECK(all.shape() == Shape{1, 1, 2, 3});
  const float expected[] = {2, 3, 3};
  for (int i = 0; i < 3; ++i) CHECK(all.data<float>()[all.pixel_stride() + i] == expected[i]);
  // The first part is seen twice, so its gradient is a sum.
  backward({stack.value(), seen},
           {Tensor::from<float>({1, 1, 2, 3}, {1, 2, 3, 4, 5, 6}), Tensor::full({1, 1, 2, 1}, 10)});
  CHECK(a.grad().data<float>()[0] == 11);
  CHECK(b.grad().data<float>()[1] == 3);
  // Something that lies elsewhere cannot be appended.
  layers::GrowingConcat other(memory);
  CHECK_THROWS_AS(other.append(Variable(Tensor::zeros({1, 1, 2, 1}))), Error);
}
