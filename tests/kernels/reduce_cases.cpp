#include "kernels/reduce/reduce.h"

#include "layers/reduce.h"
#include "tests/kernels/op_case.h"

namespace atrous::cases {
namespace {

OpCase sum_case(const Shape& shape, double factor) {
  OpCase c{.op = "reduce",
           .entry = "sum",
           .descriptor = kernels::ReduceProblem{shape, DType::f32, factor}.str(),
           .inputs = {{shape}}};
  c.run = [=](const std::vector<Tensor>& in) {
    const Tensor y = Tensor::empty({}, parameter_dtype(in[0].dtype()), in[0].device());
    kernels::reduce_sum(in[0], factor, y);
    return std::vector<Tensor>{y};
  };
  c.flops = static_cast<double>(shape.numel());
  c.bytes = 4.0 * static_cast<double>(shape.numel());
  return c;
}

}  // namespace

void add_reduce_cases(CaseList& list) {
  for (const Shape& shape : {Shape{2, 5, 7, 3}, Shape{3, 67, 33, 11}, Shape{37}, Shape{}, Shape{0, 4}}) {
    list.cases.push_back(sum_case(shape, 1.0));
    list.cases.push_back(sum_case(shape, 0.25));
  }
  list.gradients.push_back(
      {"reduce", "sum", {{{2, 3, 5}}}, [](const std::vector<Variable>& in) { return layers::sum(in[0]); }});
  list.gradients.push_back(
      {"reduce", "mean", {{{2, 3, 5}}}, [](const std::vector<Variable>& in) { return layers::mean(in[0]); }});
  list.bad_inputs.push_back({"reduce", "integers",
                             [] { layers::sum(Variable(Tensor::zeros({2}, DType::i64))); },
                             "f32, f64 or bf16"});
  list.bad_inputs.push_back({"reduce", "mean of nothing",
                             [] {
                               layers::mean(Variable(Tensor::zeros({0, 3})));
                             },
                             "at least one element"});
  OpCase big = sum_case({1, 256, 256, 32}, 1.0);
  big.benchmark = true;
  big.network = "unet32_256";
  list.cases.push_back(big);
}

}  // namespace atrous::cases
