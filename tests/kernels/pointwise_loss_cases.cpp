#include "kernels/pointwise_loss/pointwise_loss.h"

#include "layers/pointwise_loss.h"
#include "tests/kernels/op_case.h"

namespace atrous::cases {
namespace {

using kernels::LossReduction;
using kernels::PointwiseLoss;
using kernels::PointwiseLossProblem;
using kernels::PointwiseLossResult;

PointwiseLossProblem problem_of(PointwiseLoss kind, const Shape& shape, double beta,
                                LossReduction reduction) {
  const double n = static_cast<double>(shape.numel());
  return {kind, shape, beta, reduction == LossReduction::sum || n == 0 ? 1.0 : 1 / n, DType::f32};
}

std::vector<Tensor> outputs(const PointwiseLossResult& r) {
  return {r.loss, r.gradient};
}

void add(CaseList& list, PointwiseLoss kind, const Shape& shape, double beta, LossReduction reduction,
         const char* network = "") {
  const PointwiseLossProblem p = problem_of(kind, shape, beta, reduction);
  const bool smooth = kind == PointwiseLoss::smooth_l1;
  OpCase c{.op = "pointwise_loss", .entry = "forward", .descriptor = p.str()};
  c.inputs = {{.shape = shape},
              {.shape = shape, .fill = smooth ? Fill::real : Fill::unit, .parameter = true}};
  c.run = [=](const std::vector<Tensor>& in) {
    return outputs(smooth ? kernels::smooth_l1(in[0], in[1], beta, reduction, true)
                          : kernels::binary_cross_entropy_with_logits(in[0], in[1], reduction, true));
  };
  // Divisions and exponentials, but for a sum of L1.
  c.exact = smooth && beta == 0 && reduction == LossReduction::sum;
  c.accumulation = 1;  // in double
  c.bytes = 12.0 * static_cast<double>(shape.numel());
  c.benchmark = *network != 0;
  c.network = network;
  list.cases.push_back(c);
}

// Differences of distinct numbers and a target of 0 stay off the kinks at 0 and beta.
void add_gradient(CaseList& list, PointwiseLoss kind, double beta, LossReduction reduction) {
  const bool smooth = kind == PointwiseLoss::smooth_l1;
  const Shape shape{3, 5};
  list.gradients.push_back(
      {.op = "pointwise_loss",
       .descriptor = problem_of(kind, shape, beta, reduction).str(),
       .inputs = {{.shape = shape, .fill = smooth ? Fill::distinct : Fill::real},
                  {.shape = shape, .fill = Fill::unit, .differentiable = false}},
       .function = [=](const std::vector<Variable>& in) {
         if (!smooth) return layers::binary_cross_entropy_with_logits(in[0], in[1].value(), reduction);
         return layers::smooth_l1(in[0], Tensor::full(shape, 0.005, DType::f64), beta, reduction);
       }});
}

void add_bad_inputs(CaseList& list) {
  const auto bad = [&](const char* what, std::function<void()> call, const char* text) {
    list.bad_inputs.push_back(
        {.op = "pointwise_loss", .descriptor = what, .call = std::move(call), .expected_text = text});
  };
  const auto entropy = [](const Tensor& x, const Tensor& t) {
    return [=] { kernels::binary_cross_entropy_with_logits(x, t, LossReduction::mean, false); };
  };
  const Tensor x = Tensor::zeros({2, 3});
  bad("shapes differ", entropy(x, Tensor::zeros({3, 2})),
      "[binary_cross_entropy] targets must be f32 or f64 [2, 3], like x. Got f32 [3, 2]");
  bad("labels for targets", entropy(x, Tensor::zeros({2, 3}, DType::u8)), "Got u8 [2, 3]");
  bad("integers", entropy(Tensor::zeros({2, 3}, DType::i32), x),
      "x must be f32, f64 or bf16. Got i32 [2, 3]");
  bad("two devices", entropy(x, x.to(Device::sim)), "one device");
  bad(
      "negative beta", [=] { kernels::smooth_l1(x, x, -1, LossReduction::sum, false); },
      "[smooth_l1] beta must be finite and not negative. Got -1");
}

}  // namespace

void add_pointwise_loss_cases(CaseList& list) {
  for (LossReduction reduction : {LossReduction::mean, LossReduction::sum}) {
    for (const Shape& shape : {Shape{1}, Shape{5, 7}, Shape{3, 4, 4, 8}, Shape{2, 40, 41, 3}, Shape{0, 4}}) {
      add(list, PointwiseLoss::binary_cross_entropy, shape, 0, reduction);
      for (double beta : {0.0, 1.0 / 9, 1.0}) add(list, PointwiseLoss::smooth_l1, shape, beta, reduction);
    }
    add_gradient(list, PointwiseLoss::binary_cross_entropy, 0, reduction);
    for (double beta : {0.0, 0.05, 1.0}) add_gradient(list, PointwiseLoss::smooth_l1, beta, reduction);
  }
  add(list, PointwiseLoss::binary_cross_entropy, {128, 28, 28, 1}, 0, LossReduction::mean, "maskrcnn_masks");
  add(list, PointwiseLoss::smooth_l1, {512, 4}, 1.0 / 9, LossReduction::sum, "maskrcnn_rois");
  add_bad_inputs(list);
}

}  // namespace atrous::cases
