// The rules of max pooling that are easy to get wrong, on numbers that can be checked by hand (and equal
// PyTorch's).
#include "layers/max_pool2d.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "core/parallel.h"

using namespace atrous;
using layers::Pool2dOptions;

namespace {

// [1, h, w, 1] holding 0, 1, 2, ...
Variable counting(int64_t h, int64_t w) {
  std::vector<float> values(static_cast<size_t>(h * w));
  std::iota(values.begin(), values.end(), 0.f);
  return Variable(Tensor::from<float>({1, h, w, 1}, std::span<const float>(values)));
}

std::vector<float> list(const Tensor& t) {
  return {t.data<float>(), t.data<float>() + t.numel()};
}

}  // namespace

TEST_CASE("max_pool2d sizes follow the floor and ceil rules") {
  const Variable x = counting(5, 5);
  auto shape = [&](const Pool2dOptions& o) { return layers::max_pool2d(x, o).shape(); };
  CHECK(shape(Pool2dOptions::square(2, 2)) == Shape{1, 2, 2, 1});
  CHECK(shape(Pool2dOptions::square(2, 2, 0, true)) == Shape{1, 3, 3, 1});
  // The third window would start at 5, outside the input: dropped though ceil gives 3.
  CHECK(shape(Pool2dOptions::square(2, 3, 1, true)) == Shape{1, 2, 2, 1});
  CHECK(shape({2, 2, 1, 1, 1, 1, 2, 2, false}) == Shape{1, 5, 5, 1});
}

TEST_CASE("max_pool2d values and indices with ceil mode, padding, dilation") {
  auto values = [](const Pool2dOptions& o) {
    const auto result = layers::max_pool2d_with_indices(counting(5, 5), o);
    const std::vector<float> v = list(result.values.value());
    for (size_t i = 0; i < v.size(); ++i)
      CHECK(static_cast<float>(result.indices.data<int32_t>()[i]) == v[i]);
    CHECK(list(layers::max_pool2d(counting(5, 5), o).value()) == v);
    return v;
  };
  CHECK(values(Pool2dOptions::square(2, 2, 0, true)) == std::vector<float>{6, 8, 9, 16, 18, 19, 21, 23, 24});
  CHECK(values(Pool2dOptions::square(2, 3, 1, true)) == std::vector<float>{0, 3, 15, 18});
  CHECK(values({2, 2, 1, 1, 1, 1, 2, 2, false}) == std::vector<float>{6,  7,  8,  9,  8,  11, 12, 13, 14,
                                                                      13, 16, 17, 18, 19, 18, 21, 22, 23,
                                                                      24, 23, 16, 17, 18, 19, 18});
}

TEST_CASE("max_pool2d: the first maximum wins, NaN beats all, -inf has an index") {
  const float nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();
  auto pool = [](std::initializer_list<float> row, int64_t kernel) {
    const auto w = static_cast<int64_t>(row.size());
    return layers::max_pool2d_with_indices(Variable(Tensor::from<float>({1, 1, w, 1}, row)),
                                           {1, kernel, 1, kernel, 0, 0, 1, 1, false});
  };
  const auto tie = pool({3, 3, 1, 3}, 4);
  CHECK(tie.values.value().item() == 3);
  CHECK(tie.indices.item() == 0);
  const auto with_nan = pool({1, nan, 2, nan}, 4);
  CHECK(std::isnan(with_nan.values.value().item()));
  CHECK(with_nan.indices.item() == 3);
  const auto lowest = pool({-inf, -inf, -inf}, 3);
  CHECK(lowest.values.value().item() == -inf);
  CHECK(lowest.indices.item() == 0);

  // The 2x2 path has code of its own.
  const auto square = layers::max_pool2d_with_indices(
      Variable(Tensor::from<float>({1, 2, 2, 3}, {1, nan, 7, 5, 0, 7, 5, nan, 7, 2, 1, 7})),
      Pool2dOptions::square(2, 2));
  CHECK(square.values.value().data<float>()[0] == 5);
  CHECK(std::isnan(square.values.value().data<float>()[1]));
  CHECK(square.values.value().data<float>()[2] == 7);
  CHECK(square.indices.data<int32_t>()[0] == 1);
  CHECK(square.indices.data<int32_t>()[1] == 2);
  CHECK(square.indices.data<int32_t>()[2] == 0);
}

TEST_CASE("max_pool2d: a dilated window that meets no pixel gives -inf and passes no gradient") {
  const Variable x(Tensor::full({1, 1, 1, 1}, 4), true);
  const Pool2dOptions o{2, 2, 1, 1, 1, 1, 2, 2, false};  // taps at -1 and 1 only
  const auto pooled = layers::max_pool2d_with_indices(x, o);
  CHECK(pooled.values.value().item() == -std::numeric_limits<float>::infinity());
  CHECK(pooled.indices.item() == -1);
  backward(pooled.values);
  CHECK(x.grad().item() == 0);
}

TEST_CASE("max_unpool2d restores the maxima and zeroes the rest") {
  const auto pooled = layers::max_pool2d_with_indices(counting(3, 5), Pool2dOptions::square(2, 2));
  const Variable y = layers::max_unpool2d(pooled.values, pooled.indices, 3, 5);
  CHECK(list(y.value()) == std::vector<float>{0, 0, 0, 0, 0, 0, 6, 0, 8, 0, 0, 0, 0, 0, 0});
}

TEST_CASE("max pooling gives the same bits on any number of threads") {
  std::vector<float> values(2 * 33 * 47 * 19);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>((i * 7919) % 1013);
  const int before = num_threads();
  std::vector<std::vector<float>> results;
  for (int threads : {1, 3}) {
    set_num_threads(threads);
    const Variable x(Tensor::from<float>({2, 33, 47, 19}, std::span<const float>(values)), true);
    const Variable y = layers::max_pool2d(x, Pool2dOptions::square(3, 2, 1, true));
    backward(y, y.value());
    results.push_back(list(x.grad()));
  }
  set_num_threads(before);
  CHECK(results[0] == results[1]);
}
