#include "core/autograd.h"

#include <catch2/catch.hpp>
#include <cmath>

#include "core/gradcheck.h"

using namespace atrous;
using Catch::Matchers::Contains;

namespace {

// y = a * b element by element, in f64: the smallest op that saves its inputs.
Variable multiply(const Variable& a, const Variable& b, double wrong_factor = 1) {
  auto product = [](const Tensor& x, const Tensor& y, double factor) {
    Tensor z = Tensor::empty_like(x);
    for (int64_t i = 0; i < x.numel(); ++i)
      z.data<double>()[i] = factor * x.data<double>()[i] * y.data<double>()[i];
    return z;
  };
  return record(
      "multiply", product(a.value(), b.value(), 1), {a, b},
      [=, sa = Saved(a.value()), sb = Saved(b.value())](const BackwardContext& ctx) -> std::vector<Tensor> {
        return {ctx.needs(0) ? product(ctx.grad(), sb.get(), wrong_factor) : Tensor(),
                ctx.needs(1) ? product(ctx.grad(), sa.get(), 1) : Tensor()};
      });
}

Variable leaf(std::initializer_list<double> values) {
  return Variable(Tensor::from<double>({static_cast<int64_t>(values.size())}, values), true);
}

}  // namespace

TEST_CASE("Gradients add up over all uses of a variable") {
  const Variable x = leaf({3});
  const Variable y = multiply(multiply(x, x), x);  // x^3
  backward(y);
  CHECK(x.grad().item() == 27);
  backward(multiply(x, x));  // accumulates
  CHECK(x.grad().item() == 33);
  x.clear_grad();
  CHECK_FALSE(x.grad().defined());
}

TEST_CASE("Gradients are added into memory that nobody else refers to, and only there") {
  const Variable x = leaf({3});
  const std::byte* fresh = nullptr;
  Tensor held = Tensor::full({1}, 10, DType::f64);
  auto twice = [&](bool first_is_held) {
    const auto ones = [&](bool hold) {
      return record("ones", x.value().clone(), {x}, [&, hold](const BackwardContext&) -> std::vector<Tensor> {
        if (hold) return {held};
        const Tensor grad = Tensor::full({1}, 1, DType::f64);
        fresh = grad.raw();
        return {grad};
      });
    };
    // The newest goes back first.
    const Variable second = ones(!first_is_held), first = ones(first_is_held);
    x.clear_grad();
    backward({first, second}, {Tensor::full({1}, 1, DType::f64), Tensor::full({1}, 1, DType::f64)});
  };
  for (const bool first_is_held : {false, true}) {
    twice(first_is_held);
    CHECK(x.grad().item() == 11);
    CHECK(x.grad().raw() == fresh);
    CHECK(held.item() == 10);
  }
}

TEST_CASE("Only what needs a gradient gets one") {
  const Variable x = leaf({2});
  const Variable frozen(Tensor::from<double>({1}, {5.0}));
  const Variable y = multiply(x, frozen);
  backward(y);
  CHECK(x.grad().item() == 5);
  CHECK_FALSE(frozen.grad().defined());
  NoGradGuard guard;
  CHECK_FALSE(multiply(x, x).requires_grad());
}

TEST_CASE("A graph can be walked once") {
  const Variable x = leaf({2});
  const Variable y = multiply(x, x);
  backward(y);
  CHECK_THROWS_WITH(backward(y), Contains("it was freed then"));
}

TEST_CASE("A saved tensor that changed since is refused") {
  const Variable x = leaf({2});
  const Variable y = multiply(x, x);
  x.value().fill(7);
  CHECK_THROWS_WITH(backward(y), Contains("modified in place") && Contains("Clone it before the change"));
}

TEST_CASE("A seed is needed for several elements, and must fit") {
  const Variable x = leaf({1, 2});
  CHECK_THROWS_WITH(backward(multiply(x, x)), Contains("needs a seed"));
  CHECK_THROWS_WITH(backward(multiply(x, x), Tensor::zeros({3}, DType::f64)), Contains("seed must match"));
}

TEST_CASE("The engine refuses a gradient of the wrong shape") {
  const Variable x = leaf({1, 2});
  const Variable y = record("broken", x.value(), {x}, [](const BackwardContext&) -> std::vector<Tensor> {
    return {Tensor::zeros({3}, DType::f64)};
  });
  CHECK_THROWS_WITH(backward(y, Tensor::zeros({2}, DType::f64)),
                    Contains("broken") && Contains("must match its value"));
}

TEST_CASE("The gradient checker accepts a right gradient and catches a wrong one") {
  auto right = [](const std::vector<Variable>& v) { return multiply(v[0], multiply(v[0], v[1])); };
  auto wrong = [](const std::vector<Variable>& v) { return multiply(v[0], v[1], 1.001); };
  CHECK(gradcheck(right, {leaf({1, 2, 3}), leaf({4, 5, 6})}).ok);
  const GradcheckResult result = gradcheck(wrong, {leaf({1, 2, 3}), leaf({4, 5, 6})});
  CHECK_FALSE(result.ok);
  CHECK_THAT(result.message, Contains("input 0"));
  CHECK_FALSE(gradcheck(right, {Variable(leaf({1}).value(), true), Variable(leaf({1}).value())},
                        GradcheckOptions{.max_elements = 0})
                  .ok);  // nothing checked is no success
}

TEST_CASE("The finite check names op and module") {
  FiniteCheckGuard guard;
  const Variable x = leaf({1});
  ModuleScope outer("encoder"), inner("conv1");
  try {
    multiply(x, Variable(Tensor::from<double>({1}, {NAN})));
    FAIL("no error");
  } catch (const Error& e) {
    CHECK(e.kind() == ErrorKind::diverged);
    CHECK_THAT(e.what(), Contains("multiply in encoder.conv1"));
  }
}

TEST_CASE("A chain of ten thousand nodes is freed") {
  Variable y = leaf({1});
  const Variable one(Tensor::from<double>({1}, {1.0}));
  for (int i = 0; i < 10000; ++i) y = multiply(y, one);
  y = Variable();
  SUCCEED();
}

TEST_CASE("The tape keeps only what an op saved") {
  const Variable x(Tensor::zeros({1 << 16}, DType::f64), true);
  const int64_t before = allocator_stats().bytes_in_use;
  // Saves nothing: once the caller lets go of the intermediate value, its memory is free although the tape is
  // not.
  auto scale = [](const Variable& v) {
    return record("scale", Tensor::zeros_like(v.value()), {v},
                  [](const BackwardContext& ctx) -> std::vector<Tensor> { return {ctx.grad()}; });
  };
  const Variable y = scale(scale(scale(x)));
  CHECK(allocator_stats().bytes_in_use - before == static_cast<int64_t>(y.value().bytes()));
  backward(y, Tensor::full(y.shape(), 1, DType::f64));
  CHECK(x.grad().data<double>()[5] == 1);
}
