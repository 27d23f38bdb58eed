// Average pooling on numbers that can be checked by hand (and equal PyTorch's).
#include "layers/avg_pool2d.h"

#include <catch2/catch.hpp>
#include <numeric>
#include <vector>

#include "core/parallel.h"
#include "layers/adaptive_avg_pool2d.h"

using namespace atrous;
using kernels::Pool2dOptions;

namespace {

// [1, h, w, 1] holding 0, 1, 2, ...
Variable counting(int64_t h, int64_t w) {
  std::vector<float> values(static_cast<size_t>(h * w));
  std::iota(values.begin(), values.end(), 0.f);
  return Variable(Tensor::from<float>({1, h, w, 1}, std::span<const float>(values)));
}

void check_values(const Tensor& t, const std::vector<double>& expected) {
  REQUIRE(t.numel() == static_cast<int64_t>(expected.size()));
  for (size_t i = 0; i < expected.size(); ++i) CHECK(t.data<float>()[i] == Approx(expected[i]).margin(1e-6));
}

}  // namespace

TEST_CASE("avg_pool2d divides by the padded window, or only by what lies inside") {
  const Pool2dOptions o = Pool2dOptions::square(3, 2, 1);
  check_values(layers::avg_pool2d(counting(5, 5), {o, true}).value(),
               {12. / 9, 3, 24. / 9, 7, 12, 9, 8, 13, 84. / 9});
  check_values(layers::avg_pool2d(counting(5, 5), {o, false}).value(),
               {3, 4.5, 6, 10.5, 12, 13.5, 18, 19.5, 21});
}

TEST_CASE("avg_pool2d in ceil mode never counts what lies beyond the padding") {
  const Pool2dOptions o = Pool2dOptions::square(3, 2, 1, true);
  // 4 -> 3: the last window starts at 3 and holds one pixel and one of padding per axis: 15/4.
  check_values(layers::avg_pool2d(counting(4, 4), {o, true}).value(),
               {10. / 9, 24. / 9, 10. / 6, 51. / 9, 10, 5.5, 25. / 6, 7, 3.75});
  check_values(layers::avg_pool2d(counting(4, 4), {o, false}).value(),
               {2.5, 4, 5, 8.5, 10, 11, 12.5, 14, 15});
}

TEST_CASE("adaptive bins overlap, and repeat pixels when the output is larger") {
  check_values(layers::adaptive_avg_pool2d(counting(1, 7), 1, 3).value(), {1, 3, 5});
  check_values(layers::adaptive_avg_pool2d(counting(1, 3), 1, 5).value(), {0, 0.5, 1, 1.5, 2});
  check_values(layers::adaptive_avg_pool2d(counting(5, 5), 2, 3).value(), {5.5, 7, 8.5, 15.5, 17, 18.5});
  check_values(layers::global_avg_pool2d(counting(5, 5)).value(), {12});
}

TEST_CASE("average pooling writes into a slice of a concatenation") {
  const std::vector<int64_t> channels{2, 1};
  const ConcatBuffer buffer({1, 2, 2}, channels, DType::f32, Device::cpu);
  buffer.slice(0).fill(7);
  layers::avg_pool2d(counting(4, 4), {Pool2dOptions::square(2, 2)}, buffer.slice(1));
  check_values(buffer.whole(), {7, 7, 2.5, 7, 7, 4.5, 7, 7, 10.5, 7, 7, 12.5});
}

TEST_CASE("the global average of a large map has the same bits on any number of threads") {
  std::vector<float> values(1 * 150 * 131 * 11);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>((i * 7919) % 1013) * 0.37f;
  const Variable x(Tensor::from<float>({1, 150, 131, 11}, std::span<const float>(values)));
  const int before = num_threads();
  set_num_threads(1);
  const Tensor one = layers::global_avg_pool2d(x).value();
  set_num_threads(3);
  const Tensor three = layers::global_avg_pool2d(x).value();
  set_num_threads(before);
  for (int i = 0; i < 11; ++i) CHECK(one.data<float>()[i] == three.data<float>()[i]);
}
