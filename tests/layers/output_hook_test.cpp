// Module::on_output: what a hook gets, and that it changes nothing but rounding.
#include "core/output_hook.h"

#include <catch2/catch.hpp>

#include "layers/modules.h"
#include "layers/pointwise.h"
#include "tests/core/tensors.h"

using namespace atrous;
using core_test::difference;
using core_test::noise;
using layers::Activation;

namespace {

struct Pair : layers::Block {
  Pair() : first(conv_norm("conv1", "bn1", {.in = 3, .out = 4, .pad = 1}, layers::NormKind::batch)) {
    second = register_module<layers::Conv2d>("conv2.inner", layers::Conv2dArgs{.in = 4, .out = 4, .pad = 1});
  }
  Variable forward(const Variable& x) const {
    const ModuleScope scope(name());
    const Variable y = first(x);
    return second->forward(y, Activation::relu);
  }
  std::string kind() const override { return "Pair"; }
  layers::ConvNorm first;
  std::shared_ptr<layers::Conv2d> second;
};

struct Twice : layers::Block {
  Twice() : pair(register_module<Pair>("pair")), again(register_module<Pair>("again")) {}
  std::string kind() const override { return "Twice"; }
  std::shared_ptr<Pair> pair, again;
};

struct Last : layers::Block {  // its output is that of what runs in it
  std::string kind() const override { return "Last"; }
};

float smallest(const Tensor& t) {
  return *std::min_element(t.data<float>(), t.data<float>() + t.numel());
}

}  // namespace

TEST_CASE("a hook gets its module's own output, before what runs behind it") {
  Twice net;
  net.initialise(3);
  const Variable x(noise({1, 6, 5, 3}, 1));
  for (const bool training : {false, true}) {
    net.train(training);
    INFO("training " << training);
    std::vector<Tensor> conv, norm, last, block;
    const auto keep = [](std::vector<Tensor>& to) {
      return [&to](const Variable& y) { to.push_back(y.value().clone()); };
    };
    Tensor hooked;
    {
      const auto a = net.find("pair.conv1")->on_output(keep(conv));
      const auto b = net.find("pair.bn1")->on_output(keep(norm));
      const auto c = net.find("pair.conv2.inner")->on_output(keep(last));
      const auto d = net.find("pair")->on_output(keep(block));
      const NoGradGuard no_grad;
      hooked = net.pair->forward(x).value().clone();
      net.again->forward(x);  // another module, of the same kind
    }
    REQUIRE(conv.size() == 1);
    REQUIRE(norm.size() == 1);
    REQUIRE(last.size() == 1);
    REQUIRE(block.size() == 1);
    const NoGradGuard no_grad;
    CHECK(difference(conv[0], net.pair->first.conv->forward(x).value()) == 0);
    CHECK(smallest(norm[0]) < 0);  // no ReLU yet
    CHECK(smallest(last[0]) < 0);
    CHECK(smallest(block[0]) == 0);
    CHECK(difference(block[0], hooked) == 0);
    const Tensor relu = last[0].clone();
    for (int64_t i = 0; i < relu.numel(); ++i) relu.data<float>()[i] = std::max(0.0f, relu.data<float>()[i]);
    CHECK(difference(block[0], relu) == 0);
    // Without hooks the norm is folded into the filter: equal but for rounding.
    CHECK(difference(net.pair->forward(x).value(), hooked) < 1e-5);
    CHECK(conv.size() == 1);  // hooks that are gone see nothing
  }
}

TEST_CASE("modules are found by their dotted paths") {
  const Twice net;
  CHECK(net.find("") == &net);
  CHECK(net.find("again.conv2.inner") == net.again->second.get());
  CHECK(net.find("again.conv2") == nullptr);
  CHECK(net.find("aga") == nullptr);
  CHECK(net.paths() == std::vector<std::string>{"pair", "pair.conv1", "pair.bn1", "pair.conv2.inner", "again",
                                                "again.conv1", "again.bn1", "again.conv2.inner"});
}

TEST_CASE("gradients with hooks are those without") {
  Twice net;
  net.initialise(3);
  const Tensor image = noise({2, 6, 5, 3}, 1), dy = noise({2, 6, 5, 4}, 2);
  const auto gradients = [&] {
    const Variable x(image, true);
    backward(net.pair->forward(x), dy);
    return x.grad();
  };
  const Tensor plain = gradients();
  int calls = 0;
  const auto hook = net.find("pair.bn1")->on_output([&](const Variable&) { ++calls; });
  CHECK(difference(gradients(), plain) < 1e-5);
  CHECK(calls == 1);
}

TEST_CASE("a pass that an error ends calls no hook, and the next one does") {
  Twice net;
  net.initialise(3);
  int calls = 0;
  const auto hook = net.find("pair")->on_output([&](const Variable&) { ++calls; });
  const NoGradGuard no_grad;
  CHECK_THROWS(net.pair->forward(Variable(noise({1, 6, 5, 2}, 1))));  // two channels instead of three
  CHECK(calls == 0);
  net.pair->forward(Variable(noise({1, 6, 5, 3}, 1)));
  CHECK(calls == 1);
}

TEST_CASE("what a hook computes is no output of the modules that are running") {
  Twice net;
  net.initialise(3);
  const NoGradGuard no_grad;
  const Variable x(noise({1, 6, 5, 3}, 1));
  Tensor block;
  const auto inner = net.find("pair.conv2.inner")->on_output([&](const Variable& y) { layers::relu(y); });
  const auto outer = net.find("pair")->on_output([&](const Variable& y) { block = y.value().clone(); });
  const Tensor y = net.pair->forward(x).value().clone();
  CHECK(difference(block, y) == 0);
  Tensor last;
  const Last outside;
  const auto hook = outside.on_output([&](const Variable& z) { last = z.value().clone(); });
  const auto pooled = net.find("pair")->on_output([&](const Variable& z) { layers::scale(z, 0); });
  {
    const ModuleScope scope(outside.name());
    net.pair->forward(x);
  }
  CHECK(difference(last, y) == 0);
}
