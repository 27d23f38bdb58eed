#include "kernels/local_response_norm/local_response_norm.h"

#include "layers/local_response_norm.h"
#include "tests/kernels/op_case.h"

namespace atrous::cases {
namespace {

using kernels::LocalResponseNormOptions;
using kernels::LocalResponseNormProblem;

struct Sample {
  Shape shape;
  LocalResponseNormOptions options;
  const char* network = "";  // set for benchmark cases
};

// Large alphas, so that the sum matters; even and odd windows, wider than the channels, of one channel; rank
// 1 and 2.
const Sample samples[] = {
    {{2, 3, 5, 16}, {5, 1.0, 0.75, 2.0}}, {{1, 4, 3, 37}, {5, 1e-4, 0.75, 1.0}},
    {{1, 2, 3, 7}, {4, 2.0, 0.75, 1.0}},  {{1, 3, 3, 3}, {9, 3.0, 0.5, 1.5}},
    {{1, 1, 1, 1}, {1, 1.0, 1.0, 1.0}},   {{6, 21}, {2, 1.0, 1.3, 1.0}},
    {{19}, {3, 1.0, 0.75, 1.0}},          {{2, 1100}, {5, 1.0, 0.75, 1.0}},
};
const Sample benchmark{{8, 55, 55, 96}, {5, 1e-4, 0.75, 2.0}, "alexnet_227"};

void add_passes(CaseList& list, const Sample& s) {
  const LocalResponseNormOptions o = s.options;
  const auto p = LocalResponseNormProblem::make("case", s.shape, DType::f32, o);
  OpCase forward;
  forward.op = "local_response_norm";
  forward.entry = "forward";
  forward.descriptor = p.str();
  forward.inputs = {{s.shape}};
  forward.exact = false;  // a power of the scale
  forward.accumulation = o.size;
  forward.bytes = 8.0 * static_cast<double>(s.shape.numel());
  forward.benchmark = *s.network != 0;
  forward.network = s.network;
  forward.run = [o](const std::vector<Tensor>& t) -> std::vector<Tensor> {
    return {kernels::local_response_norm(t[0], o)};
  };
  list.cases.push_back(forward);

  OpCase backward = forward;
  backward.entry = "backward";
  backward.inputs = {{s.shape}, {s.shape}};
  backward.bytes = 12.0 * static_cast<double>(s.shape.numel());
  backward.run = [o](const std::vector<Tensor>& t) -> std::vector<Tensor> {
    return {kernels::local_response_norm_backward(t[0], t[1], o)};
  };
  list.cases.push_back(backward);
}

}  // namespace

void add_local_response_norm_cases(CaseList& list) {
  for (const Sample& s : samples) add_passes(list, s);
  add_passes(list, benchmark);
  for (int i : {0, 2, 3}) {
    const Sample& s = samples[i];
    list.gradients.push_back(
        {"local_response_norm",
         LocalResponseNormProblem::make("case", s.shape, DType::f64, s.options).str(),
         {{s.shape}},
         [o = s.options](const std::vector<Variable>& v) { return layers::local_response_norm(v[0], o); }});
  }
  auto bad = [&list](const char* what, DType dtype, const LocalResponseNormOptions& o, const char* text) {
    auto call = [=] { layers::local_response_norm(Variable(Tensor::zeros({1, 2, 2, 3}, dtype)), o); };
    list.bad_inputs.push_back({"local_response_norm", what, call, text});
  };
  list.bad_inputs.push_back({"local_response_norm", "gradient on another device",
                             [] {
                               kernels::local_response_norm_backward(
                                   Tensor::zeros({2, 3}, DType::f32, Device::sim), Tensor::zeros({2, 3}), {});
                             },
                             "all tensors must lie on one device"});
  bad("integers", DType::i32, {},
      "[local_response_norm] the input must be a non-empty [..., C] in f32, f64 or bf16. Got i32");
  bad("size 0", DType::f32, {0, 1, 1, 1}, "Got size 0, alpha 1, k 1");
  bad("k 0", DType::f32, {5, 1, 1, 0}, "k above 0. Got size 5, alpha 1, k 0");
}

}  // namespace atrous::cases
