// Convolutions on the CPU whose factors are rounded to bf16. (That the sums behind them are right is for
// op_tests, with inputs that bf16 holds.)
#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>

#include "core/parallel.h"
#include "core/random.h"
#include "kernels/common/probe.h"
#include "kernels/conv2d/conv2d.h"

using namespace atrous;
using namespace atrous::kernels;

namespace {

Tensor random_tensor(const Shape& shape, uint64_t seed) {
  const Tensor t = Tensor::empty(shape);
  Rng rng(seed);
  for (int64_t i = 0; i < t.numel(); ++i) t.data<float>()[i] = static_cast<float>(rng.normal());
  return t;
}

// Euclidean norm of a - b over that of b.
double distance(const Tensor& a, const Tensor& b) {
  const Tensor x = a.to(DType::f64);
  double difference = 0, size = 0;
  for (int64_t i = 0; i < x.numel(); ++i) {
    const double d = x.data<double>()[i] - b.data<double>()[i];
    difference += d * d;
    size += b.data<double>()[i] * b.data<double>()[i];
  }
  return std::sqrt(difference / size);
}

const Conv2dOptions options{.stride = {2, 2}, .pad = {1, 1}};
const Shape input{2, 33, 41, 48}, filter{40, 3, 3, 48}, output{2, 17, 21, 40};

std::vector<Tensor> all_passes(const Tensor& x, const Tensor& w, const Tensor& dy) {
  return {conv2d(x, w, options), conv2d_backward_input(dy, w, options, input),
          conv2d_backward_weight(dy, x, options, filter)};
}

// Names of the implementations of the three entries, in the order in which the math would take them.
std::vector<ImplementationInfo> implementations(const std::string& entry, Math math) {
  Conv2dOptions with_math = options;
  with_math.math = math;
  const Tensor x = Tensor::zeros(input), w = Tensor::zeros(filter), dy = Tensor::zeros(output);
  return able_implementations("conv2d." + entry,
                              [&] {
                                conv2d(x, w, with_math);
                                conv2d_backward_input(dy, w, with_math, input);
                                conv2d_backward_weight(dy, x, with_math, filter);
                              })
      .value();
}

std::vector<std::string> bf16_implementations() {
  std::vector<std::string> names;
  for (const ImplementationInfo& it : implementations("forward", {.bf16 = true})) {
    if (it.accuracy == Accuracy::bf16) names.push_back(it.name);
  }
  return names;
}

}  // namespace

TEST_CASE("bf16 products need permission, and are then the first choice") {
  for (const char* entry : {"forward", "backward_input", "backward_weight"}) {
    CHECK(implementations(entry, {}).front().accuracy == Accuracy::reordered);
    CHECK(implementations(entry, {.bf16 = true}).front().accuracy == Accuracy::bf16);
  }
}

TEST_CASE(
    "outputs and gradients with bf16 products are as far from double precision as two rounded factors") {
  const Tensor x = random_tensor(input, 1), w = random_tensor(filter, 2), dy = random_tensor(output, 3);
  const std::vector<Tensor> want = all_passes(x.to(DType::f64), w.to(DType::f64), dy.to(DType::f64));
  const std::vector<std::string> names = bf16_implementations();
  REQUIRE(names.back() == "bf16_rounded");  // any CPU has it
  for (const std::string& name : names) {
    const ForceImplementation force("conv2d", name);
    const std::vector<Tensor> got = all_passes(x, w, dy);
    for (size_t i = 0; i < got.size(); ++i) {
      INFO(name << ", pass " << i);
      // A factor is off by at most 2^-9 of itself, and by 2^-9 / sqrt(3) / sqrt(2) or so on average.
      CHECK(distance(got[i], want[i]) < 0x1p-8);
      CHECK(distance(got[i], want[i]) > 0x1p-11);
    }
  }
}

TEST_CASE("bf16 products give the same bits on any number of threads") {
  const Tensor x = random_tensor(input, 1), w = random_tensor(filter, 2), dy = random_tensor(output, 3);
  const int before = num_threads();
  for (const std::string& name : bf16_implementations()) {
    const ForceImplementation force("conv2d", name);
    set_num_threads(1);
    const std::vector<Tensor> one = all_passes(x, w, dy);
    set_num_threads(3);
    const std::vector<Tensor> three = all_passes(x, w, dy);
    set_num_threads(before);
    for (size_t i = 0; i < one.size(); ++i) {
      INFO(name << ", pass " << i);
      CHECK(std::memcmp(one[i].raw(), three[i].raw(), one[i].bytes()) == 0);
    }
  }
}
