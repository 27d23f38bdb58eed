#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <limits>

#include "kernels/common/exp_math.h"
#include "layers/softmax.h"

using namespace atrous;

TEST_CASE("exp_approx is within 2 ulp where the result is normal") {
  double worst = 0;
  for (double x = -87.2; x < 88.2; x += 0.00093) {
    const auto input = static_cast<float>(x);
    const double exact = std::exp(static_cast<double>(input));
    const auto rounded = static_cast<float>(exact);
    const double ulp = std::nextafter(rounded, std::numeric_limits<float>::infinity()) - rounded;
    worst = std::max(worst, std::abs(static_cast<double>(kernels::exp_approx(input)) - exact) / ulp);
  }
  CHECK(worst < 2);
  CHECK(worst > 0.1);
}

TEST_CASE("exp_approx at the ends") {
  const float infinity = std::numeric_limits<float>::infinity();
  CHECK(kernels::exp_approx(0) == 1);
  CHECK(kernels::exp_approx(-1000) == 0);
  CHECK(kernels::exp_approx(-infinity) == 0);
  CHECK(kernels::exp_approx(infinity) == infinity);
  CHECK(std::isnan(kernels::exp_approx(std::numeric_limits<float>::quiet_NaN())));
}

TEST_CASE("log_approx is within 2 ulp") {
  double worst = 0;
  for (double x = 1; x < 3000; x *= 1.00001) {
    const auto input = static_cast<float>(x);
    const double exact = std::log(static_cast<double>(input));
    const auto rounded = static_cast<float>(exact);
    const double ulp = std::nextafter(rounded, std::numeric_limits<float>::infinity()) - rounded;
    worst = std::max(worst, std::abs(static_cast<double>(kernels::log_approx(input)) - exact) / ulp);
  }
  CHECK(worst < 2);
  CHECK(kernels::log_approx(1) == 0);
  CHECK(kernels::log_approx(1e-30f) == Approx(std::log(1e-30)));
  CHECK(std::isnan(kernels::log_approx(std::numeric_limits<float>::quiet_NaN())));
}

TEST_CASE("softmax by hand, and of logits that would overflow") {
  const auto log3 = static_cast<float>(std::log(3.0));
  const Tensor y = layers::softmax(Variable(Tensor::from<float>({1, 2}, {0, log3}))).value();
  CHECK(y.data<float>()[0] == Approx(0.25));
  const Tensor big = layers::softmax(Variable(Tensor::from<float>({1, 3}, {1000, 1000, -1000}))).value();
  CHECK(big.data<float>()[0] == Approx(0.5));
  CHECK(big.data<float>()[2] == 0);
  const Tensor log = layers::log_softmax(Variable(Tensor::from<float>({1, 2}, {0, log3}))).value();
  CHECK(log.data<float>()[1] == Approx(std::log(0.75)));
}
