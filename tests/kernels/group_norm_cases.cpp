#include "kernels/group_norm/group_norm.h"

#include "layers/group_norm.h"
#include "tests/kernels/op_case.h"

namespace atrous::cases {
namespace {

using kernels::Activation;
using kernels::GroupNormProblem;

OpCase forward_case(const Shape& shape, int64_t groups, Activation activation) {
  const Input parameter{.shape = {shape[-1]}, .parameter = true};
  OpCase c{.op = "group_norm",
           .entry = "forward",
           .descriptor = GroupNormProblem{shape, groups, DType::f32, activation}.str(),
           .inputs = {{shape}, parameter, parameter}};
  c.run = [=](const std::vector<Tensor>& in) {
    const Tensor y = Tensor::empty_like(in[0]),
                 mean = Tensor::empty({shape[0], groups}, parameter_dtype(in[0].dtype()), in[0].device());
    const Tensor invstd = Tensor::empty_like(mean);
    kernels::group_norm_forward(in[0], groups, in[1], in[2], 1e-5, activation, y, mean, invstd);
    return std::vector<Tensor>{y, mean, invstd};
  };
  c.exact = false;
  c.accumulation = shape.numel() / shape[0] / groups + 16;
  c.flops = 7.0 * static_cast<double>(shape.numel());
  c.bytes = 12.0 * static_cast<double>(shape.numel());
  return c;
}

OpCase backward_case(const Shape& shape, int64_t groups, Activation activation) {
  const Input parameter{.shape = {shape[-1]}, .parameter = true};
  const Input mean{.shape = {shape[0], groups}, .parameter = true};
  const Input invstd{.shape = {shape[0], groups}, .fill = Fill::positive, .parameter = true};
  OpCase c{.op = "group_norm",
           .entry = "backward",
           .descriptor = GroupNormProblem{shape, groups, DType::f32, activation}.str(),
           .inputs = {{shape}, {shape}, {shape}, mean, invstd, parameter}};
  c.run = [=](const std::vector<Tensor>& in) {
    const Tensor dx = Tensor::empty_like(in[0]), dgamma = Tensor::empty_like(in[5]),
                 dbeta = Tensor::empty_like(in[5]);
    // Statistics are [N, G] and always dense.
    kernels::group_norm_backward(in[0], in[1], in[2], in[3].contiguous_copy_if_needed(),
                                 in[4].contiguous_copy_if_needed(), in[5], activation, dx, dgamma, dbeta);
    return std::vector<Tensor>{dx, dgamma, dbeta};
  };
  c.exact = false;
  c.accumulation = shape.numel() / shape[0] / groups + 16;
  c.flops = 10.0 * static_cast<double>(shape.numel());
  c.bytes = 20.0 * static_cast<double>(shape.numel());
  return c;
}

}  // namespace

void add_group_norm_cases(CaseList& list) {
  struct Row {
    Shape shape;
    int64_t groups;
  };
  for (const Row& r :
       {Row{{2, 5, 7, 6}, 3}, Row{{1, 9, 5, 16}, 1}, Row{{3, 4, 3, 11}, 11}, Row{{2, 33, 17, 32}, 8},
        Row{{2, 3, 5, 21}, 7}, Row{{1, 4, 3, 136}, 17}, Row{{4, 40}, 10}, Row{{2, 1, 1, 64}, 32}}) {
    for (Activation activation : {Activation::none, Activation::relu}) {
      list.cases.push_back(forward_case(r.shape, r.groups, activation));
      list.cases.push_back(backward_case(r.shape, r.groups, activation));
      if (r.shape.numel() > 1000) continue;
      // eps is large so that the few values of a group do not bring the square root close to its pole.
      list.gradients.push_back({"group_norm",
                                GroupNormProblem{r.shape, r.groups, DType::f64, activation}.str(),
                                {{r.shape}, {{r.shape[-1]}}, {{r.shape[-1]}}},
                                [=](const std::vector<Variable>& in) {
                                  return layers::group_norm(in[0], r.groups, in[1], in[2], 1e-2, activation);
                                }});
    }
  }
  auto call = [](Shape x, int64_t groups, int64_t parameters) {
    return [=] {
      const Variable p(Tensor::zeros({parameters}));
      layers::group_norm(Variable(Tensor::zeros(x)), groups, p, p);
    };
  };
  list.bad_inputs.push_back(
      {"group_norm", "groups do not divide", call({1, 2, 2, 6}, 4, 6), "Choose a divisor of 6"});
  list.bad_inputs.push_back({"group_norm", "no groups", call({1, 2, 2, 6}, 0, 6), "at least one group"});
  list.bad_inputs.push_back({"group_norm", "wrong gamma", call({1, 2, 2, 6}, 3, 5), "gamma must be f32 [6]"});
  list.bad_inputs.push_back({"group_norm", "parameters on another device",
                             [] {
                               const Variable p(Tensor::zeros({6}, DType::f32, Device::sim));
                               layers::group_norm(Variable(Tensor::zeros({1, 2, 2, 6})), 3, p, p);
                             },
                             "all tensors must lie on one device"});
  list.bad_inputs.push_back({"group_norm", "empty", call({1, 0, 2, 6}, 3, 6), "not empty"});

  for (OpCase c : {forward_case({4, 64, 64, 64}, 32, Activation::relu),
                   backward_case({4, 64, 64, 64}, 32, Activation::relu)}) {
    c.benchmark = true;
    c.network = "unet32_256";
    list.cases.push_back(c);
  }
}

}  // namespace atrous::cases
