#include "kernels/optimizer_step/optimizer_step.h"

#include <numeric>

#include "tests/kernels/op_case.h"

namespace atrous::cases {
namespace {

using kernels::OptimizerCoefficients;
using kernels::OptimizerRule;
using kernels::ParameterUpdate;

// Sizes of parameters that lie one after the other in one array: most begin off 16-byte boundaries.
using Sizes = std::vector<int64_t>;

std::vector<Tensor> cut(const Tensor& all, const Sizes& sizes) {
  std::vector<Tensor> parts;
  int64_t begin = 0;
  for (int64_t n : sizes) {
    parts.push_back(all.narrow_batch(begin, n));
    begin += n;
  }
  return parts;
}

OptimizerCoefficients coefficients_for(OptimizerRule rule, bool nesterov) {
  OptimizerCoefficients c;
  // Powers of two: sgd and the average stay exact on integers.
  c.lr = 0.5f;
  c.weight_decay = 0.25f;
  c.momentum = 0.5f;
  c.gradient_scale = 0.5f;
  c.nesterov = nesterov;
  if (rule == OptimizerRule::adam) {
    c.shrink = 0.875f;
    c.beta1 = 0.9f, c.rest1 = 0.1f, c.beta2 = 0.99f, c.rest2 = 0.01f, c.eps = 1e-6f;
    c.correction1 = 0.01f / 0.19f, c.correction2 = 0.14f;  // those of the second step
  }
  if (rule == OptimizerRule::rmsprop) c.alpha = 0.9f, c.rest_alpha = 0.1f, c.eps = 1e-6f;
  return c;
}

OpCase step_case(OptimizerRule rule, const Sizes& sizes, bool copy, bool nesterov = false) {
  const int64_t total = std::accumulate(sizes.begin(), sizes.end(), int64_t{0});
  const int moments = kernels::moments_of(rule);
  const kernels::OptimizerProblem problem{rule, coefficients_for(rule, nesterov),
                                          static_cast<int64_t>(sizes.size()), total};
  OpCase c;
  c.op = "optimizer_step";
  c.entry = "step";
  c.descriptor = problem.str() + (nesterov ? " nesterov" : "") + (copy ? " with bf16 copies" : "");
  for (int i = 0; i < 2 + moments; ++i) {
    // Second moments are means of squares.
    c.inputs.push_back({{total}, i < 2 ? Fill::real : Fill::positive, 0, 255, false, true});
  }
  // Parameters are f32 whatever the activations are.
  c.run = [=](const std::vector<Tensor>& in) {
    std::vector<Tensor> whole;
    for (const Tensor& t : in) whole.push_back(t.clone());
    const Tensor low = copy ? Tensor::empty({total}, DType::bf16, in[0].device()) : Tensor();
    std::vector<ParameterUpdate> updates(sizes.size());
    const auto values = cut(whole[0], sizes), gradients = cut(whole[1], sizes);
    const auto copies = copy ? cut(low, sizes) : std::vector<Tensor>(sizes.size());
    for (size_t i = 0; i < sizes.size(); ++i) updates[i] = {values[i], gradients[i], {}, copies[i]};
    for (size_t m = 0; m < static_cast<size_t>(moments); ++m) {
      const auto parts = cut(whole[2 + m], sizes);
      for (size_t i = 0; i < sizes.size(); ++i) updates[i].moments[m] = parts[i];
    }
    kernels::optimizer_step(rule, problem.coefficients, updates);
    whole.erase(whole.begin() + 1);  // the gradient
    if (copy) whole.push_back(low);
    return whole;
  };
  c.exact = moments < 2;
  c.accumulation = 8;  // a few roundings
  c.flops = 10.0 * static_cast<double>(total);
  c.bytes = (12.0 + 8.0 * moments + (copy ? 2 : 0)) * static_cast<double>(total);
  return c;
}

OpCase squares_case(const Sizes& sizes) {
  const int64_t total = std::accumulate(sizes.begin(), sizes.end(), int64_t{0});
  const kernels::SumOfSquaresProblem problem{static_cast<int64_t>(sizes.size()), total};
  OpCase c;
  c.op = "optimizer_step";
  c.entry = "sum_of_squares";
  c.descriptor = problem.str();
  c.inputs = {{{total}, Fill::real, 0, 255, false, true}};
  c.run = [=](const std::vector<Tensor>& in) {
    const Tensor result = Tensor::full({1}, 7, DType::f64, in[0].device());
    kernels::sum_of_squares(cut(in[0], sizes), result);
    return std::vector<Tensor>{result};
  };
  c.flops = 2.0 * static_cast<double>(total);
  c.bytes = 4.0 * static_cast<double>(total);
  return c;
}

void add_bad_inputs(CaseList& list) {
  const auto bad = [&](const char* what, const char* text, std::function<void()> call) {
    list.bad_inputs.push_back({"optimizer_step", what, std::move(call), text});
  };
  const auto step = [](OptimizerRule rule, const ParameterUpdate& u) {
    kernels::optimizer_step(rule, {}, {u});
  };
  const Tensor p = Tensor::zeros({4});
  bad("bf16 parameter", "parameters must be f32 or f64", [=] {
    const Tensor low = Tensor::zeros({4}, DType::bf16);
    step(OptimizerRule::plain_sgd, {low, low, {}, {}});
  });
  bad("gradient of another shape", "a gradient must be contiguous f32 with the shape", [=] {
    step(OptimizerRule::plain_sgd, {p, Tensor::zeros({5}), {}, {}});
  });
  bad("missing moment", "a moment must be contiguous f32", [=] {
    step(OptimizerRule::adam, {p, p, {Tensor::zeros({4}), Tensor()}, {}});
  });
  bad("copy in f32", "a copy must be contiguous bf16", [=] {
    step(OptimizerRule::plain_sgd, {p, p, {}, Tensor::zeros({4})});
  });
  bad("strided tensor", "tensors must be contiguous", [] {
    kernels::sum_of_squares({Tensor::zeros({3, 4}).narrow_channels(0, 2)}, Tensor::zeros({1}, DType::f64));
  });
  bad("norm in f32", "the result must be one f64", [=] { kernels::sum_of_squares({p}, Tensor::zeros({1})); });
}

}  // namespace

void add_optimizer_step_cases(CaseList& list) {
  Sizes many(150, 3);  // several launches of the table
  many[70] = 0;
  const Sizes all_sizes[] = {{1}, {4096}, {4097, 8, 5}, {0, 5003, 3, 12289}, many, {0}};
  for (const Sizes& sizes : all_sizes) {
    for (OptimizerRule rule : {OptimizerRule::plain_sgd, OptimizerRule::sgd, OptimizerRule::adam,
                               OptimizerRule::rmsprop, OptimizerRule::average}) {
      list.cases.push_back(step_case(rule, sizes, false));
      list.cases.push_back(step_case(rule, sizes, true));
    }
    list.cases.push_back(step_case(OptimizerRule::sgd, sizes, false, true));
    list.cases.push_back(squares_case(sizes));
  }
  list.cases.push_back(squares_case({}));
  add_bad_inputs(list);
  list.not_differentiable.push_back("optimizer_step");

  for (OpCase c : {step_case(OptimizerRule::adam, {1 << 20, 1 << 16, 1 << 10}, false),
                   step_case(OptimizerRule::adam, {1 << 20, 1 << 16, 1 << 10}, true),
                   step_case(OptimizerRule::sgd, {1 << 20, 1 << 16, 1 << 10}, false),
                   squares_case({1 << 20, 1 << 16, 1 << 10})}) {
    c.benchmark = true;
    c.network = "weights of 1.1 M elements";
    list.cases.push_back(c);
  }
}

}  // namespace atrous::cases
