#include "layers/pointwise.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <vector>

#include "layers/reduce.h"

using namespace atrous;

namespace {

Variable row(std::vector<float> values, bool requires_grad = false) {
  const Shape shape{1, static_cast<int64_t>(values.size())};
  return Variable(Tensor::from<float>(shape, std::span<const float>(values)), requires_grad);
}

std::vector<float> values_of(const Tensor& t) {
  return {t.data<float>(), t.data<float>() + t.numel()};
}

}  // namespace

TEST_CASE("pointwise ops by hand") {
  const Variable x = row({-4, -1, 0, 2, 7});
  CHECK(values_of(layers::relu(x).value()) == std::vector<float>{0, 0, 0, 2, 7});
  CHECK(values_of(layers::relu6(x).value()) == std::vector<float>{0, 0, 0, 2, 6});
  CHECK(values_of(layers::leaky_relu(x, 0.5).value()) == std::vector<float>{-2, -0.5f, 0, 2, 7});
  CHECK(values_of(layers::hard_sigmoid(x).value()) == std::vector<float>{0, 1.0f / 3, 0.5f, 5.0f / 6, 1});
  CHECK(values_of(layers::hard_swish(x).value()) == std::vector<float>{0, -1.0f / 3, 0, 5.0f / 3, 7});
  CHECK(values_of(layers::scale(x, 2, 1).value()) == std::vector<float>{-7, -1, 1, 5, 15});
  CHECK(values_of(layers::mul(x, row({1, 2, 3, 4, 5})).value()) == std::vector<float>{-4, -2, 0, 8, 35});
  CHECK(layers::mean(x).value().item() == Approx(0.8));
}

TEST_CASE("f32 exp, sigmoid and tanh against double precision, over their whole range") {
  std::vector<float> points;
  for (float v = -110; v < 95; v += 0.037f) points.push_back(v);
  for (float v = 1e-7f; v < 1; v *= 1.3f) points.insert(points.end(), {v, -v});
  const Variable x = row(points);
  const auto exps = values_of(layers::exp(x).value());
  const auto sigmoids = values_of(layers::sigmoid(x).value());
  const auto tanhs = values_of(layers::tanh(x).value());
  for (size_t i = 0; i < points.size(); ++i) {
    const auto v = static_cast<double>(points[i]);
    INFO("at " << v);
    const double e = std::exp(v);
    if (e < static_cast<double>(std::numeric_limits<float>::max())) {
      // two units in the last place; below the normal range, of the smallest normal number
      const double unit = std::max(e, static_cast<double>(std::numeric_limits<float>::min())) * 0x1p-23;
      REQUIRE(std::abs(static_cast<double>(exps[i]) - e) <= 2 * unit);
    } else {
      REQUIRE(std::isinf(exps[i]));
    }
    REQUIRE(std::abs(static_cast<double>(sigmoids[i]) - 1 / (1 + std::exp(-v))) <= 2e-7);
    REQUIRE(std::abs(static_cast<double>(tanhs[i]) - std::tanh(v)) <= 5e-7 * std::abs(std::tanh(v)));
  }
}

TEST_CASE("NaN and infinity pass through activations instead of turning into zeros") {
  const float nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();
  const Variable x = row({nan, inf, -inf});
  for (const Variable& y :
       {layers::relu(x), layers::relu6(x), layers::exp(x), layers::sigmoid(x), layers::tanh(x),
        layers::hard_swish(x), layers::maximum(x, row({0, 0, 0})), layers::maximum(row({0, 0, 0}), x)}) {
    CHECK(std::isnan(y.value().data<float>()[0]));
  }
  CHECK(values_of(layers::exp(row({inf, -inf})).value()) == std::vector<float>{inf, 0});
  CHECK(values_of(layers::sigmoid(row({inf, -inf})).value()) == std::vector<float>{1, 0});
  CHECK(values_of(layers::tanh(row({inf, -inf})).value()) == std::vector<float>{1, -1});
}

TEST_CASE("in-place relu changes its input, keeps the gradient and is noticed by whoever saved the input") {
  const Variable x = row({-1, 2, 3}, true);
  const Variable a = layers::scale(x, 2);
  const Variable y = layers::relu_(a);
  CHECK(y.value().raw() == a.value().raw());
  CHECK(values_of(y.value()) == std::vector<float>{0, 4, 6});
  backward(layers::sum(y));
  CHECK(values_of(x.grad()) == std::vector<float>{0, 2, 2});

  const Variable b = layers::scale(x, 2);
  const Variable squared = layers::square(b);  // saves b
  layers::relu_(b);
  CHECK_THROWS_WITH(backward(layers::sum(squared)), Catch::Contains("modified in place"));
}

TEST_CASE("a gradient that two ops share is overwritten by neither; one that is alone is masked in place") {
  const Variable x = row({-1, 2, 3, -4}, true), z = row({5, -6, 7, -8}, true);
  // add hands one tensor to both; the newest op goes back first, while the other still waits.
  const Variable y = layers::add(layers::relu(layers::scale(x, 2)), layers::relu(layers::scale(z, 3)));
  const Tensor seed = Tensor::from<float>({1, 4}, {1, 10, 100, 1000});
  backward(y, seed);
  CHECK(values_of(x.grad()) == std::vector<float>{0, 20, 200, 0});
  CHECK(values_of(z.grad()) == std::vector<float>{3, 0, 300, 0});
  CHECK(values_of(seed) == std::vector<float>{1, 10, 100, 1000});

  const auto alone = [&](bool held) {
    const std::byte* given = nullptr;
    Tensor also;
    const Variable masked = layers::relu(x);
    const Variable source = record("source", masked.value().clone(), {masked},
                                   [&, held](const BackwardContext& ctx) -> std::vector<Tensor> {
                                     const Tensor grad = ctx.grad().clone();
                                     given = grad.raw();
                                     if (held) also = grad;
                                     return {grad};
                                   });
    x.clear_grad();
    backward(source, seed);
    CHECK(values_of(x.grad()) == std::vector<float>{0, 10, 100, 0});
    if (held) CHECK(values_of(also) == values_of(seed));
    return x.grad().raw() == given;
  };
  CHECK(alone(false));
  CHECK_FALSE(alone(true));
}

TEST_CASE("a squeeze-and-excitation product broadcasts over the pixels of each image") {
  const Variable x(Tensor::from<float>({2, 1, 2, 2}, {1, 2, 3, 4, 5, 6, 7, 8}), true);
  const Variable gate(Tensor::from<float>({2, 1, 1, 2}, {10, 1, 0, 2}), true);
  const Variable y = layers::mul(x, gate);
  CHECK(values_of(y.value()) == std::vector<float>{10, 2, 30, 4, 0, 12, 0, 16});
  backward(layers::sum(y));
  CHECK(values_of(gate.grad()) == std::vector<float>{4, 6, 12, 14});
  CHECK(values_of(x.grad()) == std::vector<float>{10, 1, 10, 1, 0, 2, 0, 2});
}
