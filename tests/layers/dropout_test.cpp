#include "layers/dropout.h"

#include <catch2/catch.hpp>
#include <vector>

#include "core/parallel.h"

using namespace atrous;

namespace {

std::vector<float> dropped(const Shape& shape, double p, RandomKey key) {
  const Tensor y = layers::dropout(Variable(Tensor::full(shape, 1)), p, key).value();
  return {y.data<float>(), y.data<float>() + y.numel()};
}

}  // namespace

TEST_CASE("dropout keeps the expected share and mean") {
  const std::vector<float> y = dropped({1, 200, 200, 5}, 0.3, {1, 2});
  double sum = 0, zeros = 0;
  for (float v : y) {
    sum += static_cast<double>(v);
    zeros += v == 0;
  }
  const auto n = static_cast<double>(y.size());
  CHECK(zeros / n == Approx(0.3).margin(0.005));  // standard deviation 0.001
  CHECK(sum / n == Approx(1.0).margin(0.008));
}

TEST_CASE("dropout masks depend on seed and stream only") {
  const Shape shape{2, 61, 67, 7};
  const int before = num_threads();
  set_num_threads(1);
  const auto one = dropped(shape, 0.5, {1, 2});
  set_num_threads(3);
  CHECK(dropped(shape, 0.5, {1, 2}) == one);
  set_num_threads(before);
  CHECK(dropped(shape, 0.5, {1, 3}) != one);
  CHECK(dropped(shape, 0.5, {2, 2}) != one);
}

TEST_CASE("dropout2d drops whole maps; dropout in evaluation is the identity") {
  const Variable x(Tensor::full({4, 5, 5, 32}, 1));
  const Tensor y = layers::dropout2d(x, 0.5, {7, 7}).value();
  int kept = 0;
  for (int64_t n = 0; n < 4; ++n) {
    for (int64_t c = 0; c < 32; ++c) {
      const float first = y.data<float>()[n * 25 * 32 + c];
      kept += first != 0;
      for (int64_t p = 0; p < 25; ++p) REQUIRE(y.data<float>()[(n * 25 + p) * 32 + c] == first);
    }
  }
  CHECK(kept > 40);
  CHECK(kept < 88);
  CHECK(layers::dropout(x, 0.5, {7, 7}, false).same_as(x));
}
