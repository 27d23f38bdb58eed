#include "layers/batch_norm.h"

#include <catch2/catch.hpp>
#include <vector>

#include "core/parallel.h"
#include "core/random.h"
#include "kernels/batch_norm/batch_norm.h"
#include "layers/modules.h"

using namespace atrous;
using kernels::Activation;

namespace {

void check_equal(const Tensor& got, const std::vector<float>& want) {
  REQUIRE(got.defined());
  REQUIRE(got.numel() == static_cast<int64_t>(want.size()));
  const Tensor dense = got.contiguous_copy_if_needed();
  for (size_t i = 0; i < want.size(); ++i) {
    INFO("element " << i);
    CHECK(dense.data<float>()[i] == Approx(want[i]).margin(1e-6));
  }
}

Tensor noise(const Shape& shape, double offset, uint64_t seed) {
  Tensor t = Tensor::empty(shape);
  const CounterRng rng(seed, 3);
  for (int64_t i = 0; i < t.numel(); ++i) {
    t.data<float>()[i] = static_cast<float>(offset + rng.normal(static_cast<uint64_t>(i)));
  }
  return t;
}

std::vector<char> bytes_of(const Tensor& t) {
  const auto* p = reinterpret_cast<const char*>(t.raw());
  return {p, p + t.bytes()};
}

}  // namespace

// Both channels hold {1, 2, 3, 6}: mean 3, variance 14/4 = 3.5, and with eps 0.5 a deviation of exactly 2. So
// xhat of channel 0 is -1, -0.5, 0, 1.5. Every number below follows by hand; PyTorch 1.13 gives the same.
TEST_CASE("batch norm by hand: forward, running statistics, backward") {
  const Variable x(Tensor::from<float>({1, 2, 2, 2}, {1, 6, 2, 2, 3, 1, 6, 3}), true);
  const Variable residual(Tensor::from<float>({1, 2, 2, 2}, {0, 2, 1, 0.5f, -1, 0.25f, 0, 1}), true);
  const Variable gamma(Tensor::from<float>({2}, {2, -1}), true);
  const Variable beta(Tensor::from<float>({2}, {0.5f, 0.25f}), true);
  const Tensor running_mean = Tensor::from<float>({2}, {1, -1}),
               running_var = Tensor::from<float>({2}, {2, 3.5f});
  const layers::BatchNormOptions options{
      .training = true, .momentum = 0.1, .eps = 0.5, .activation = Activation::relu};

  const Variable y = layers::batch_norm(x, gamma, beta, running_mean, running_var, options, residual);
  check_equal(y.value(), {0, 0.75f, 0.5f, 1.25f, 0, 1.5f, 3.5f, 1.25f});
  // 0.9 * old + 0.1 * batch, the variance as 14/3
  check_equal(running_mean, {1.2f, -0.6f});
  check_equal(running_var, {0.9f * 2 + 1.4f / 3, 0.9f * 3.5f + 1.4f / 3});

  backward(y, Tensor::from<float>({1, 2, 2, 2}, {1, 2, -1, 3, 0.5f, -2, 4, 1}));
  check_equal(residual.grad(), {0, 2, -1, 3, 0, -2, 4, 1});
  check_equal(beta.grad(), {3, 4});
  // channel 0: -1 * -0.5 + 4 * 1.5; channel 1: 2 * 1.5 + 3 * -0.5 - 2 * -1 + 1 * 0
  check_equal(gamma.grad(), {6.5f, 3.5f});
  // gamma / 2 * (g - sum_g / 4 - xhat * sum_gxhat / 4)
  check_equal(x.grad(), {0 - 0.75f + 1.625f, -0.5f * (2 - 1 - 1.5f * 0.875f), -1 - 0.75f + 0.8125f,
                         -0.5f * (3 - 1 + 0.5f * 0.875f), -0.75f, -0.5f * (-2 - 1 + 0.875f),
                         4 - 0.75f - 1.5f * 1.625f, -0.5f * (1 - 1)});
}

TEST_CASE("batch norm by hand: evaluation uses the running statistics and leaves them alone") {
  const Variable x(Tensor::from<float>({1, 1, 2, 1}, {1, 7}), true);
  const Variable gamma(Tensor::from<float>({1}, {2}), true), beta(Tensor::from<float>({1}, {1}), true);
  const Tensor running_mean = Tensor::from<float>({1}, {3}), running_var = Tensor::from<float>({1}, {3.75f});
  const layers::BatchNormOptions options{.training = false, .eps = 0.25, .activation = Activation::relu6};
  const Variable y = layers::batch_norm(x, gamma, beta, running_mean, running_var, options);
  check_equal(y.value(), {0, 5});
  check_equal(running_mean, {3});
  check_equal(running_var, {3.75f});
  backward(y, Tensor::from<float>({1, 1, 2, 1}, {5, 3}));
  check_equal(x.grad(), {0, 3});
  check_equal(gamma.grad(), {6});
  check_equal(beta.grad(), {3});
}

TEST_CASE("batch norm of constants keeps y for the mask of a residual block, and not x") {
  for (const Activation activation : {Activation::relu, Activation::relu6}) {
    const Variable x(Tensor::from<float>({1, 1, 3, 1}, {1, 7, 3}), true);
    const Variable residual(Tensor::from<float>({1, 1, 3, 1}, {1, 2, 1}), true);
    const Variable gamma(Tensor::from<float>({1}, {2})), beta(Tensor::from<float>({1}, {1}));
    const Tensor running_mean = Tensor::from<float>({1}, {3}),
                 running_var = Tensor::from<float>({1}, {3.75f});
    const layers::BatchNormOptions options{.training = false, .eps = 0.25, .activation = activation};
    const Variable y = layers::batch_norm(x, gamma, beta, running_mean, running_var, options, residual);
    const bool cut = activation == Activation::relu6;
    check_equal(y.value(), {0, cut ? 6.0f : 7.0f, 2});
    x.value().fill(9);  // fails in backward if x was kept
    backward(y, Tensor::from<float>({1, 1, 3, 1}, {5, 3, -2}));
    check_equal(x.grad(), {0, cut ? 0.0f : 3.0f, -2});
    check_equal(residual.grad(), {0, cut ? 0.0f : 3.0f, -2});
  }
}

TEST_CASE("batch norm variance survives a mean that is large against the deviation") {
  // In f32 the squares of 4096 +- 1 keep no more than two digits of the deviation.
  const Tensor x = noise({2, 64, 64, 5}, 4096, 11);
  const Tensor mean = Tensor::empty({5}), variance = Tensor::empty({5});
  kernels::batch_norm_statistics(x, mean, variance);
  for (int64_t c = 0; c < 5; ++c) {
    double m = 0, v = 0;
    const int64_t n = x.pixels();
    for (int64_t p = 0; p < n; ++p)
      m += static_cast<double>(x.data<float>()[p * 5 + c]) / static_cast<double>(n);
    for (int64_t p = 0; p < n; ++p) {
      const double d = static_cast<double>(x.data<float>()[p * 5 + c]) - m;
      v += d * d / static_cast<double>(n);
    }
    CHECK(variance.data<float>()[c] == Approx(v).epsilon(1e-6));
    CHECK(mean.data<float>()[c] == Approx(m).epsilon(1e-7));
  }
}

TEST_CASE("batch norm has the same bits on any number of threads") {
  const int before = num_threads();
  std::vector<std::vector<char>> results[2];
  int run = 0;
  for (int threads : {1, 3}) {
    set_num_threads(threads);
    const Variable x(noise({2, 67, 65, 11}, 0.5, 5), true);
    const Variable gamma(noise({11}, 1, 6), true), beta(noise({11}, 0, 7), true);
    const Tensor running_mean = Tensor::zeros({11}), running_var = Tensor::full({11}, 1);
    const Variable y =
        layers::batch_norm(x, gamma, beta, running_mean, running_var, {.activation = Activation::relu});
    backward(y, noise(y.shape(), 0, 8));
    for (const Tensor& t : {y.value(), running_mean, running_var, x.grad(), gamma.grad(), beta.grad()}) {
      results[run].push_back(bytes_of(t));
    }
    ++run;
  }
  set_num_threads(before);
  CHECK(results[0] == results[1]);
}

TEST_CASE("batch norm writes into its slice of a concatenation and refuses a slice changed before backward") {
  const std::vector<int64_t> channels{3, 4};
  const ConcatBuffer buffer({1, 3, 3}, channels, DType::f32, Device::cpu);
  buffer.whole().fill(-7);
  const Variable x(noise({1, 3, 3, 4}, 0, 1), true), gamma(noise({4}, 1, 2), true),
      beta(noise({4}, 0, 3), true);
  const Variable y =
      layers::batch_norm(x, gamma, beta, {}, {}, {.activation = Activation::relu}, {}, buffer.slice(1));
  const Variable dense = layers::batch_norm(x, gamma, beta, {}, {}, {.activation = Activation::relu});
  for (int64_t p = 0; p < 9; ++p) {
    for (int64_t c = 0; c < 7; ++c) {
      const float want = c < 3 ? -7.0f : dense.value().data<float>()[p * 4 + c - 3];
      CHECK(buffer.whole().data<float>()[p * 7 + c] == want);
    }
  }
  buffer.slice(1).fill(0);
  CHECK_THROWS_WITH(backward(y, Tensor::zeros(y.shape())), Catch::Contains("modified in place"));
}

TEST_CASE("batch norm refuses to train on one value per channel") {
  layers::BatchNorm2d norm(3);
  norm.initialise(1);
  const Variable x(noise({1, 1, 1, 3}, 0, 1));
  CHECK_THROWS_WITH(norm.forward(x, Activation::none, {}, {}, {}), Catch::Contains("more than one value"));
  norm.eval();
  CHECK_NOTHROW(norm.forward(x, Activation::none, {}, {}, {}));
}
