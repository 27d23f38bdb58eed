// The spread of start values: the formulas that layers/modules.h states.
#include <catch2/catch.hpp>
#include <cmath>

#include "layers/modules.h"

using namespace atrous;
using namespace atrous::layers;

namespace {

struct Spread {
  double largest = 0, deviation = 0;
};

Spread spread_of(const Tensor& t) {
  Spread s;
  double squares = 0;
  for (int64_t i = 0; i < t.numel(); ++i) {
    const auto v = static_cast<double>(t.data<float>()[i]);
    s.largest = std::max(s.largest, std::abs(v));
    squares += v * v;
  }
  s.deviation = std::sqrt(squares / static_cast<double>(t.numel()));
  return s;
}

// 64 -> 16 channels, 3x3, in two groups: fan in 32 * 9 = 288, fan out 8 * 9 = 72.
Conv2d conv(Init init) {
  return Conv2d(Conv2dArgs{.in = 64, .out = 16, .groups = 2, .init = init});
}

}  // namespace

TEST_CASE("start values have the spread that their name says") {
  const auto uniform = [](Init init, double bound) {
    INFO("bound " << bound);
    Conv2d c = conv(init);
    c.initialise(3);
    const Spread s = spread_of(c.weight.value());
    CHECK(s.largest <= bound);
    CHECK(s.largest > 0.99 * bound);
    CHECK(s.deviation == Approx(bound / std::sqrt(3.0)).epsilon(0.03));
    return spread_of(c.bias.value()).largest;
  };
  const auto normal = [](Init init, double deviation) {
    INFO("deviation " << deviation);
    Conv2d c = conv(init);
    c.initialise(3);
    CHECK(spread_of(c.weight.value()).deviation == Approx(deviation).epsilon(0.04));
    return spread_of(c.bias.value()).largest;
  };
  // PyTorch's default, for the bias too.
  const double bias = uniform(Init::uniform_fan_in, std::sqrt(1.0 / 288));
  CHECK(bias > 0.5 * std::sqrt(1.0 / 288));
  CHECK(bias <= std::sqrt(1.0 / 288));
  CHECK(uniform(Init::kaiming_uniform_fan_in, std::sqrt(6.0 / 288)) == 0);
  CHECK(uniform(Init::kaiming_uniform_linear, std::sqrt(3.0 / 288)) == 0);
  CHECK(uniform(Init::xavier_uniform, std::sqrt(6.0 / (288 + 72))) == 0);
  CHECK(normal(Init::kaiming_normal_fan_in, std::sqrt(2.0 / 288)) == 0);
  CHECK(normal(Init::kaiming_normal_fan_out, std::sqrt(2.0 / 72)) == 0);
  CHECK(normal(Init::normal_hundredth, 0.01) == 0);
  CHECK(normal(Init::zeros, 0) == 0);
}

TEST_CASE("start values of transposed convolutions and linear layers have their own fans") {
  // PyTorch takes the second axis of [in, out, R, S]: 16 * 4.
  ConvTranspose2d up(64, 16, 2, 2);
  up.initialise(3);
  const double bound = std::sqrt(1.0 / 64);
  CHECK(spread_of(up.weight.value()).largest <= bound);
  CHECK(spread_of(up.weight.value()).largest > 0.99 * bound);
  Linear linear(100, 40);
  linear.initialise(3);
  CHECK(spread_of(linear.weight.value()).largest <= 0.1);
  CHECK(spread_of(linear.weight.value()).largest > 0.099);
}
