#include "kernels/gemm/gemm.h"

#include "layers/gemm.h"
#include "tests/kernels/op_case.h"

namespace atrous::cases {
namespace {

using kernels::GemmForm;
using kernels::GemmProblem;

OpCase gemm_case(const GemmProblem& p, bool with_bias) {
  OpCase c;
  c.op = "gemm";
  c.entry = "forward";
  c.descriptor = p.str() + (with_bias ? " bias" : "");
  const Shape a = p.form == GemmForm::tn ? Shape{p.k, p.m} : Shape{p.m, p.k};
  const Shape b = p.form == GemmForm::nt ? Shape{p.n, p.k} : Shape{p.k, p.n};
  c.inputs = {{a}, {b}, {.shape = {p.n}, .parameter = true}};
  c.run = [=](const std::vector<Tensor>& in) {
    return std::vector<Tensor>{kernels::gemm(in[0], in[1], p.form, with_bias ? in[2] : Tensor())};
  };
  c.accumulation = std::max<int64_t>(1, p.k);
  c.flops = p.flops();
  c.bytes = p.bytes();
  return c;
}

void add_bad_inputs(CaseList& list) {
  auto bad = [&list](const char* what, std::function<void()> call, const char* text) {
    list.bad_inputs.push_back({"gemm", what, std::move(call), text});
  };
  const auto z = [](const Shape& s) { return Tensor::zeros(s); };
  bad(
      "inner extents differ",
      [=] {
        kernels::gemm(z({4, 5}), z({6, 7}), GemmForm::nt);
      },
      "Got [4, 5] and [6, 7] in form nt: 5 and 7");
  bad(
      "not a matrix",
      [=] {
        kernels::gemm(z({4, 5, 2}), z({6, 2}), GemmForm::nt);
      },
      "must be matrices");
  bad(
      "bias of another length",
      [=] {
        kernels::gemm(z({4, 5}), z({6, 5}), GemmForm::nt, z({5}));
      },
      "bias must be f32 [6]");
  bad(
      "output of another shape",
      [=] {
        kernels::gemm(z({4, 5}), z({6, 5}), GemmForm::nt, {}, z({6, 4}));
      },
      "out must be f32 [4, 6]");
  bad(
      "linear with other features",
      [=] {
        layers::linear(Variable(z({2, 3, 5})), Variable(z({7, 4})), Variable());
      },
      "Got input f32 [2, 3, 5], weight f32 [7, 4]");
}

}  // namespace

void add_gemm_cases(CaseList& list) {
  for (GemmForm form : {GemmForm::nt, GemmForm::nn, GemmForm::tn}) {
    for (const auto& [m, n, k] : {std::array<int64_t, 3>{1, 1, 1},
                                  {3, 5, 7},
                                  {17, 33, 19},
                                  {1, 40, 64},
                                  {64, 1, 30},
                                  {70, 100, 50},
                                  {0, 4, 5},
                                  {4, 3, 0},
                                  {300, 16, 16},
                                  // On GPUs: several tiles, sums that blocks share.
                                  {68, 132, 20},
                                  {5, 8, 1037},
                                  {12, 64, 1024}}) {
      list.cases.push_back(gemm_case({m, n, k, form}, form != GemmForm::tn && m % 2 == 1));
    }
    OpCase big = gemm_case({1024, 1024, 1024, form}, false);
    big.benchmark = true;
    big.network = "square";
    list.cases.push_back(big);
  }
  for (bool bias : {false, true}) {
    GradientCase g;
    g.op = "gemm";
    g.descriptor = bias ? "linear with bias" : "linear";
    g.inputs = {{{2, 3, 5}}, {{4, 5}}, {{4}, Fill::real, 0, 255, bias}};
    g.function = [bias](const std::vector<Variable>& in) {
      return layers::linear(in[0], in[1], bias ? in[2] : Variable());
    };
    list.gradients.push_back(g);
  }
  add_bad_inputs(list);
}

}  // namespace atrous::cases
