// Ten steps of each optimiser against numbers that torch.optim gave for the same start and gradients.
#include "train/optimizer.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>

#include "core/parallel.h"

using namespace atrous;
using namespace atrous::train;

namespace {

void set_gradient(const Variable& p, const std::vector<float>& g) {
  // The gradient of sum(p * g) is g.
  const Tensor value = Tensor::from<float>(p.shape(), g);
  backward(
      record("given", p.value(), {p}, [value](const BackwardContext&) { return std::vector<Tensor>{value}; }),
      Tensor::full(p.shape(), 1));
}

std::vector<float> after_ten_steps(const OptimizerOptions& options, double lr) {
  const Variable p(Tensor::from<float>({4}, {1.0f, -2.0f, 0.5f, 3.0f}), true);
  Optimizer optimizer(options, {{"p", p}});
  for (int t = 0; t < 10; ++t) {
    const auto s = static_cast<float>(t);
    set_gradient(p, {0.1f * (s + 1), -0.3f, t % 2 ? -0.5f : 0.5f, 0.01f * s});
    optimizer.step(lr);
    CHECK_FALSE(p.grad().defined());
  }
  return {p.value().data<float>(), p.value().data<float>() + 4};
}

void check_close(const std::vector<float>& got, const std::vector<double>& want) {
  for (size_t i = 0; i < want.size(); ++i) CHECK(got[i] == Approx(want[i]).epsilon(2e-6).margin(5e-7));
}

OptimizerOptions options_for(OptimizerKind name, double momentum, double weight_decay) {
  OptimizerOptions o;
  o.name = name;
  o.momentum = momentum;
  o.weight_decay = weight_decay;
  return o;
}

}  // namespace

TEST_CASE("optimisers give PyTorch's numbers") {
  SECTION("sgd") {
    check_close(after_ten_steps(options_for(OptimizerKind::sgd, 0.9, 0.01), 0.1),
                {-0.806846976, -0.687330186, 0.328348905, 2.74137568});
  }
  SECTION("sgd, nesterov") {
    OptimizerOptions o = options_for(OptimizerKind::sgd, 0.9, 0);
    o.nesterov = true;
    check_close(after_ten_steps(o, 0.1), {-1.14813399, -0.582711279, 0.361165702, 2.83242941});
  }
  SECTION("sgd with clipping") {
    OptimizerOptions o = options_for(OptimizerKind::sgd, 0.9, 0);
    o.clip_norm = 0.5;
    check_close(after_ten_steps(o, 0.1), {-0.0945559591, -1.14348364, 0.361732513, 2.9190948});
  }
  SECTION("adam") {
    check_close(after_ten_steps(options_for(OptimizerKind::adam, 0, 0.01), 0.1),
                {0.0122823343, -1.00103259, 0.338454455, 1.9878242});
  }
  SECTION("adamw") {
    check_close(after_ten_steps(options_for(OptimizerKind::adamw, 0, 0.1), 0.1),
                {-0.0374568775, -0.852584779, 0.309118599, 1.92634618});
  }
  SECTION("rmsprop") {
    OptimizerOptions o = options_for(OptimizerKind::rmsprop, 0.9, 0.01);
    o.alpha = 0.9;
    check_close(after_ten_steps(o, 0.01), {-0.0115722176, -1.20379829, 0.372621089, 2.06198382});
  }
  SECTION("sgd without momentum is a plain step") {
    // p - 0.1 * sum of gradients
    check_close(after_ten_steps(options_for(OptimizerKind::sgd, 0, 0), 0.1),
                {1 - 0.55, -2 + 0.3, 0.5, 3 - 0.045});
  }
}

TEST_CASE("parameter groups: no decay on rank 1, slower backbone, frozen parameters untouched") {
  OptimizerOptions o = options_for(OptimizerKind::sgd, 0, 0.5);
  o.decay_norm_and_bias = false;
  o.backbone_lr_factor = 0.1;
  const Variable weight(Tensor::full({1, 2}, 1), true);
  const Variable bias(Tensor::full({2}, 1), true);
  const Variable backbone(Tensor::full({1, 2}, 1), true);
  const Variable frozen(Tensor::full({2}, 1), false);
  Optimizer optimizer(
      o, {{"head.weight", weight}, {"head.bias", bias}, {"backbone.weight", backbone}, {"frozen", frozen}},
      [](const std::string& name) { return name.starts_with("backbone."); });
  for (const Variable& v : {weight, bias, backbone}) set_gradient(v, {0, 1});
  CHECK(optimizer.gradient_norm() == Approx(std::sqrt(3.0)));
  optimizer.step(0.1);
  CHECK(weight.value().data<float>()[0] == Approx(1 - 0.1 * 0.5));
  CHECK(bias.value().data<float>()[0] == 1.0f);
  CHECK(bias.value().data<float>()[1] == Approx(0.9));
  CHECK(backbone.value().data<float>()[1] == Approx(1 - 0.01 * 1.5));
  CHECK(frozen.value().data<float>()[0] == 1.0f);
  CHECK_THROWS_WITH(Optimizer(o, {{"head.weight", weight}}), Catch::Contains("backbone_lr_factor"));
}

TEST_CASE(
    "groups by beginning and end of names: factors multiply, and a group that matches nothing is an error") {
  OptimizerOptions o = options_for(OptimizerKind::sgd, 0, 0.5);
  o.groups = {{"score", "", 10, 1}, {"", ".bias", 2, 0}};
  const Variable weight(Tensor::full({1, 2}, 1), true), bias(Tensor::full({2}, 1), true);
  const Variable other(Tensor::full({1, 2}, 1), true);
  const std::vector<layers::NamedParameter> parameters{
      {"score.weight", weight}, {"score.bias", bias}, {"conv.weight", other}};
  Optimizer optimizer(o, parameters);
  for (const Variable& v : {weight, bias, other}) set_gradient(v, {0, 1});
  optimizer.step(0.01);
  CHECK(weight.value().data<float>()[0] == Approx(1 - 0.1 * 0.5));
  CHECK(bias.value().data<float>()[0] == 1.0f);
  CHECK(bias.value().data<float>()[1] == Approx(1 - 0.2));
  CHECK(other.value().data<float>()[1] == Approx(1 - 0.01 * 1.5));
  o.groups = {{"skore", "", 10, 1}};
  CHECK_THROWS_WITH(Optimizer(o, parameters), Catch::Contains("skore") && Catch::Contains("score.weight"));
}

TEST_CASE("an update is told to autograd and has the same bits on any number of threads") {
  const int before = num_threads();
  std::vector<std::vector<float>> results;
  for (int threads : {1, 2, 4}) {
    set_num_threads(threads);
    const int64_t n = 200'003;
    std::vector<float> g(static_cast<size_t>(n));
    for (size_t i = 0; i < g.size(); ++i) g[i] = std::sin(static_cast<float>(i));
    const Variable p(Tensor::full({n}, 0.25), true);
    OptimizerOptions o = options_for(OptimizerKind::adam, 0, 0.1);
    o.clip_norm = 1;
    Optimizer optimizer(o, {{"p", p}});
    const uint32_t version = p.value().version();
    for (int t = 0; t < 3; ++t) {
      set_gradient(p, g);
      optimizer.step(0.01);
    }
    CHECK(p.value().version() > version);
    results.emplace_back(p.value().data<float>(), p.value().data<float>() + n);
  }
  set_num_threads(before);
  CHECK(results[0] == results[1]);
  CHECK(results[0] == results[2]);
}

TEST_CASE("a gradient that is not finite shows in the norm") {
  const Variable p(Tensor::full({3}, 1), true);
  Optimizer optimizer(options_for(OptimizerKind::sgd, 0.9, 0), {{"p", p}});
  set_gradient(p, {0, std::numeric_limits<float>::quiet_NaN(), 0});
  CHECK_FALSE(std::isfinite(optimizer.gradient_norm()));
}
