#include "kernels/layer_norm/layer_norm.h"

#include "layers/layer_norm.h"
#include "tests/kernels/op_case.h"

namespace atrous::cases {
namespace {

using kernels::LayerNormProblem;

OpCase forward_case(const Shape& shape) {
  const Input parameter{.shape = {shape[-1]}, .parameter = true};
  OpCase c{.op = "layer_norm",
           .entry = "forward",
           .descriptor = LayerNormProblem{shape}.str(),
           .inputs = {{shape}, parameter, parameter}};
  c.run = [](const std::vector<Tensor>& in) {
    const Tensor y = Tensor::empty_like(in[0]),
                 mean = Tensor::empty({in[0].pixels()}, parameter_dtype(in[0].dtype()), in[0].device());
    const Tensor invstd = Tensor::empty_like(mean);
    kernels::layer_norm_forward(in[0], in[1], in[2], 1e-5, y, mean, invstd);
    return std::vector<Tensor>{y, mean, invstd};
  };
  c.exact = false;
  c.accumulation = 16 + shape[-1];
  c.flops = 7.0 * static_cast<double>(shape.numel());
  c.bytes = 8.0 * static_cast<double>(shape.numel());
  return c;
}

OpCase backward_case(const Shape& shape) {
  const Input parameter{.shape = {shape[-1]}, .parameter = true};
  const Input mean{.shape = {shape.numel() / shape[-1]}, .parameter = true};
  const Input invstd{.shape = mean.shape, .fill = Fill::positive, .parameter = true};
  OpCase c{.op = "layer_norm",
           .entry = "backward",
           .descriptor = LayerNormProblem{shape}.str(),
           .inputs = {{shape}, {shape}, mean, invstd, parameter}};
  c.run = [](const std::vector<Tensor>& in) {
    const Tensor dx = Tensor::empty_like(in[0]), dgamma = Tensor::empty_like(in[4]),
                 dbeta = Tensor::empty_like(in[4]);
    kernels::layer_norm_backward(in[0], in[1], in[2], in[3], in[4], dx, dgamma, dbeta);
    return std::vector<Tensor>{dx, dgamma, dbeta};
  };
  c.exact = false;
  c.accumulation = 16 + std::max(shape[-1], shape.numel() / shape[-1]);
  c.flops = 12.0 * static_cast<double>(shape.numel());
  c.bytes = 12.0 * static_cast<double>(shape.numel());
  return c;
}

}  // namespace

void add_layer_norm_cases(CaseList& list) {
  for (const Shape& shape : {Shape{2, 5, 7, 3}, Shape{1, 9, 5, 16}, Shape{3, 4, 3, 11}, Shape{2, 17, 9, 100},
                             Shape{7, 40}, Shape{33}}) {
    list.cases.push_back(forward_case(shape));
    list.cases.push_back(backward_case(shape));
    list.gradients.push_back(
        {"layer_norm",
         LayerNormProblem{shape, DType::f64}.str(),
         {{shape}, {{shape[-1]}}, {{shape[-1]}}},
         [](const std::vector<Variable>& in) { return layers::layer_norm(in[0], in[1], in[2], 1e-2); }});
  }
  // Rows of each length that one team of threads holds, and longer; backward with 48 KB of dynamic shared
  // memory and more; more pixels than one block sums; none.
  for (const Shape& shape : {Shape{21, 1}, Shape{9, 96}, Shape{5, 256}, Shape{3, 300}, Shape{3, 768},
                             Shape{3, 776}, Shape{2, 1030}, Shape{300, 24}, Shape{0, 8}}) {
    list.cases.push_back(forward_case(shape));
    list.cases.push_back(backward_case(shape));
  }
  auto call = [](Shape x, int64_t parameters) {
    return [=] {
      const Variable p(Tensor::zeros({parameters}));
      layers::layer_norm(Variable(Tensor::zeros(x)), p, p);
    };
  };
  list.bad_inputs.push_back({"layer_norm", "wrong gamma", call({1, 2, 2, 6}, 5), "gamma must be f32 [6]"});
  list.bad_inputs.push_back({"layer_norm", "parameters on another device",
                             [] {
                               const Variable p(Tensor::zeros({6}, DType::f32, Device::sim));
                               layers::layer_norm(Variable(Tensor::zeros({1, 2, 2, 6})), p, p);
                             },
                             "all tensors must lie on one device"});
  list.bad_inputs.push_back({"layer_norm", "no channels", call({1, 2, 2, 0}, 5), "with C > 0"});

  for (OpCase c : {forward_case({1, 128, 128, 96}), backward_case({1, 128, 128, 96})}) {
    c.benchmark = true;
    c.network = "convnext_512";
    list.cases.push_back(c);
  }
}

}  // namespace atrous::cases
