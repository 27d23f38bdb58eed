#include "layers/conv2d.h"

#include <array>
#include <catch2/catch.hpp>
#include <cstring>

#include "core/cpu.h"
#include "core/parallel.h"
#include "core/random.h"
#include "kernels/common/probe.h"
#include "layers/gemm.h"
#include "layers/modules.h"
#include "tests/same_bits.h"

using namespace atrous;
using kernels::Conv2dFusion;
using kernels::Conv2dOptions;
using kernels::Conv2dProblem;

namespace {

Tensor random_tensor(const Shape& shape, uint64_t seed, DType dtype = DType::f32) {
  const Tensor t = Tensor::empty(shape, DType::f64);
  const CounterRng rng(seed, 0);
  for (int64_t i = 0; i < t.numel(); ++i) t.data<double>()[i] = rng.normal(static_cast<uint64_t>(i));
  return t.to(dtype);
}

double dot(const Tensor& a, const Tensor& b) {
  const Tensor x = a.to(DType::f64).contiguous_copy_if_needed(),
               y = b.to(DType::f64).contiguous_copy_if_needed();
  double sum = 0;
  for (int64_t i = 0; i < x.numel(); ++i) sum += x.data<double>()[i] * y.data<double>()[i];
  return sum;
}

}  // namespace

TEST_CASE("Convolution output sizes, worked by hand") {
  struct Row {
    int64_t in, taps, stride, pad, dilation, out;
  };
  const Row table[] = {
      {1, 1, 1, 0, 1, 1},     {5, 3, 1, 0, 1, 3},     {5, 3, 1, 1, 1, 5},       {5, 3, 2, 1, 1, 3},
      {6, 3, 2, 1, 1, 3},     {7, 3, 2, 1, 1, 4},     {572, 3, 1, 0, 1, 570},   {572, 2, 2, 0, 1, 286},
      {224, 7, 2, 3, 1, 112}, {225, 7, 2, 3, 1, 113}, {65, 3, 1, 2, 2, 65},     {65, 3, 1, 6, 6, 65},
      {65, 3, 1, 12, 12, 65}, {65, 3, 1, 18, 18, 65}, {65, 3, 1, 0, 12, 41},    {64, 3, 2, 2, 2, 32},
      {65, 3, 2, 2, 2, 33},   {33, 3, 1, 0, 16, 1},   {32, 3, 1, 0, 16, 0},     {2, 3, 1, 0, 1, 0},
      {4, 4, 4, 0, 1, 1},     {8, 2, 3, 0, 1, 3},     {500, 3, 1, 100, 1, 698},
  };
  for (const Row& r : table) {
    CAPTURE(r.in, r.taps, r.stride, r.pad, r.dilation);
    CHECK(Conv2dProblem::output_size(r.in, r.taps, r.stride, r.pad, r.dilation) == r.out);
  }
  // Rows and columns are told apart.
  const Conv2dProblem p =
      Conv2dProblem::make("test", {2, 33, 50, 8}, {6, 3, 5, 8}, {{2, 1}, {1, 4}, {1, 2}, 1}, DType::f32);
  CHECK(p.output_shape() == Shape{2, 17, 50, 6});
  CHECK(p.flops() == 2.0 * 2 * 17 * 50 * 6 * 3 * 5 * 8);
}

TEST_CASE("Convolution sizes beyond 32 bits") {
  const Conv2dProblem p =
      Conv2dProblem::make("test", {1, 65536, 65536, 64}, {64, 3, 3, 64}, {{1, 1}, {1, 1}}, DType::f32);
  CHECK(p.output_shape().numel() == int64_t{65536} * 65536 * 64);
  CHECK(p.bytes() > 2e12);
}

TEST_CASE("Convolution is linear: its input gradient is its adjoint") {
  const Conv2dOptions options[] = {
      {{1, 1}, {1, 1}}, {{2, 1}, {1, 0}, {1, 2}}, {{1, 1}, {12, 12}, {12, 12}}, {{2, 2}, {0, 1}, {1, 1}, 2}};
  for (const Conv2dOptions& o : options) {
    const Tensor x = random_tensor({2, 30, 29, 12}, 1), w = random_tensor({20, 3, 3, 12 / o.groups}, 2);
    const Tensor y = kernels::conv2d(x, w, o);
    const Tensor u = random_tensor(y.shape(), 3);
    const double left = dot(y, u);
    CHECK(dot(x, kernels::conv2d_backward_input(u, w, o, x.shape())) == Approx(left).epsilon(1e-5));
    CHECK(dot(w, kernels::conv2d_backward_weight(u, x, o, w.shape())) == Approx(left).epsilon(1e-5));
  }
}

TEST_CASE("Convolution results do not depend on the number of threads") {
  const Conv2dOptions o{{1, 1}, {1, 1}};
  // Direct sums in blocks of rows and by panels; Winograd by tiles, and by panels with groups of tiles.
  using Sizes = std::array<int64_t, 5>;
  const auto [n, h, width, c, k] = GENERATE(Sizes{2, 37, 41, 19, 40}, Sizes{1, 6, 6, 288, 288},
                                            Sizes{2, 93, 95, 32, 48}, Sizes{1, 65, 66, 160, 128});
  const Tensor x = random_tensor({n, h, width, c}, 1), w = random_tensor({k, 3, 3, c}, 2);
  const int before = num_threads();
  std::vector<Tensor> first;
  for (int threads : {1, 2, 5}) {
    set_num_threads(threads);
    Conv2dFusion f;
    f.channel_sums = Tensor::empty({2, k}, DType::f64);
    const Tensor y = kernels::conv2d(x, w, o, f);
    const std::vector<Tensor> all{y, f.channel_sums, kernels::conv2d_backward_input(y, w, o, x.shape()),
                                  kernels::conv2d_backward_weight(y, x, o, w.shape()),
                                  kernels::conv2d_backward_bias(y)};
    if (first.empty()) first = all;
    for (size_t i = 0; i < all.size(); ++i) {
      CAPTURE(threads, i);
      CHECK(same_bits(all[i], first[i]));
    }
  }
  set_num_threads(before);
}

TEST_CASE("Gradients of wide 1x1 filters do not depend on the number of threads") {
  const Tensor x = random_tensor({1, 20, 31, 288}, 1), dy = random_tensor({1, 20, 31, 300}, 2);
  const int before = num_threads();
  set_num_threads(1);
  const Tensor first = kernels::conv2d_backward_weight(dy, x, {}, {300, 1, 1, 288});
  for (int threads : {2, 5}) {
    set_num_threads(threads);
    CHECK(same_bits(kernels::conv2d_backward_weight(dy, x, {}, {300, 1, 1, 288}), first));
  }
  set_num_threads(before);
}

TEST_CASE("Winograd comes first where a map has many pixels for its channels, and can be had elsewhere") {
  if (cpu_isa() < Isa::avx512) return;
  // Those that the problem takes by itself, best first, and those that can be forced.
  struct Names {
    std::vector<std::string> chosen, forced;
    bool operator==(const Names&) const = default;
  };
  const auto names = [](const std::string& entry, int64_t size, int64_t channels, int64_t rate = 1,
                        kernels::Math math = {}) {
    const Tensor map = Tensor::zeros({1, size, size, channels}),
                 filter = Tensor::zeros({channels, 3, 3, channels});
    const kernels::Conv2dOptions o{{1, 1}, {rate, rate}, {rate, rate}, 1, math};
    Names result;
    bool by_itself = true;
    const auto implementations = kernels::able_implementations("conv2d." + entry, [&] {
                                   kernels::conv2d(map, filter, o);
                                   kernels::conv2d_backward_input(map, filter, o, map.shape());
                                   kernels::conv2d_backward_weight(map, map, o, filter.shape());
                                 }).value();
    for (const auto& it : implementations) {
      if (it.accuracy == kernels::Accuracy::bf16) continue;
      (by_itself ? result.chosen : result.forced).push_back(it.name);
      by_itself = by_itself && it.name != "ref";
    }
    return result;
  };
  for (const char* entry : {"forward", "backward_input"}) {
    CHECK(names(entry, 32, 64) == Names{{"winograd_f4", "avx512", "avx2", "ref"}, {"winograd_f2"}});
    CHECK(names(entry, 10, 512) == Names{{"winograd_f2", "avx512", "avx2", "ref"}, {"winograd_f4"}});
    CHECK(names(entry, 4, 64) == Names{{"avx512", "avx2", "ref"}, {"winograd_f4", "winograd_f2"}});
    // Many sub-images of a good size; of a size that no tile fits, and most taps meet padding.
    CHECK(names(entry, 48, 64, 4).chosen.front() == "winograd_f4");
    CHECK(names(entry, 48, 64, 36).chosen.front() == "avx512");
    const Names exact{{"avx512", "avx2", "ref"}, {"winograd_f4", "winograd_f2"}};
    CHECK(names(entry, 32, 64, 1, {.exact_sums = true}) == exact);
    CHECK(names(entry, 10, 512, 1, {.exact_sums = true}) == exact);
  }
  CHECK(names("backward_weight", 32, 64) == Names{{"winograd_f4", "avx512", "avx2", "ref"}, {}});
  CHECK(names("backward_weight", 8, 64) == Names{{"avx512", "avx2", "ref"}, {"winograd_f4"}});
  CHECK(names("backward_weight", 32, 64, 1, {.exact_sums = true}) ==
        Names{{"avx512", "avx2", "ref"}, {"winograd_f4"}});
}

TEST_CASE("Two models of different arithmetic run side by side") {
  const Tensor x = random_tensor({1, 32, 32, 64}, 1);
  const auto model = [](kernels::Math math) {
    auto conv = std::make_shared<layers::Conv2d>(layers::Conv2dArgs{.in = 64, .out = 64, .pad = 1});
    conv->initialise(1);
    conv->set_math(math);
    return conv;
  };
  const auto direct = model({.exact_sums = true}), any = model({}), rounded = model({.bf16 = true});
  const auto values = [&](const layers::Conv2d& conv) {
    const NoGradGuard no_grad;
    return conv.forward(Variable(x)).value();
  };
  const Tensor first = values(*direct), second = values(*any), third = values(*rounded);
  CHECK(same_bits(values(*direct), first));
  CHECK(same_bits(values(*any), second));
  CHECK(same_bits(values(*rounded), third));
  CHECK_FALSE(same_bits(first, third));
  if (cpu_isa() >= Isa::avx512) CHECK_FALSE(same_bits(first, second));
  // The gradients too, in the order in which the tape runs them.
  const auto gradient = [&](const layers::Conv2d& conv) {
    Variable in(x, true);
    backward(conv.forward(in), Tensor::full({1, 32, 32, 64}, 0.1));
    return in.grad();
  };
  CHECK_FALSE(same_bits(gradient(*direct), gradient(*rounded)));
}

TEST_CASE("Convolution layer skips gradients that nobody needs and counts writes into its output") {
  const Variable x(random_tensor({1, 8, 8, 3}, 1)), w(random_tensor({4, 3, 3, 3}, 2), true), none;
  const Variable y = layers::conv2d(x, w, none, {{1, 1}, {1, 1}});
  backward(y, Tensor::full(y.shape(), 1));
  CHECK(!x.grad().defined());
  CHECK(w.grad().shape() == w.shape());

  const int64_t widths[] = {4, 4};
  const ConcatBuffer buffer({1, 8, 8}, widths, DType::f32, Device::cpu);
  const uint32_t version = buffer.slice(1).version();
  layers::conv2d(x, w, none, {{1, 1}, {1, 1}}, buffer.slice(1));
  CHECK(buffer.slice(1).version() > version);
  CHECK(same_bits(buffer.slice(1).clone(), y.value()));
}

TEST_CASE("More than 65,535 output rows") {
  const Tensor x = random_tensor({1, 70000, 1, 2}, 1), w = random_tensor({3, 3, 1, 2}, 2);
  const Conv2dOptions o{{1, 1}, {1, 0}};
  const Tensor fast = kernels::conv2d(x, w, o);
  kernels::ForceImplementation reference("conv2d", "ref");
  const Tensor slow = kernels::conv2d(x, w, o);
  double worst = 0;
  for (int64_t i = 0; i < fast.numel(); ++i) {
    worst = std::max<double>(worst, std::abs(fast.data<float>()[i] - slow.data<float>()[i]));
  }
  CHECK(worst < 1e-5);
}

TEST_CASE("Linear equals a matrix product by hand") {
  const Variable x(Tensor::from<float>({1, 2, 2}, {1, 2, 3, 4})),
      w(Tensor::from<float>({3, 2}, {1, 0, 0, 1, 1, -1}));
  const Variable bias(Tensor::from<float>({3}, {10, 20, 30}));
  const Variable y = layers::linear(x, w, bias);
  CHECK(y.shape() == Shape{1, 2, 3});
  CHECK(same_bits(y.value(), Tensor::from<float>({1, 2, 3}, {11, 22, 29, 13, 24, 29})));
}
