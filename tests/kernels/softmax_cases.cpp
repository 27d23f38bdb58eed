#include "kernels/softmax/softmax.h"

#include "layers/softmax.h"
#include "tests/kernels/op_case.h"

namespace atrous::cases {
namespace {

void add(CaseList& list, const Shape& x, bool log, const char* network = "") {
  const kernels::SoftmaxProblem p{x.numel() / x[-1], x[-1], log, DType::f32};
  OpCase c{.op = "softmax", .entry = "forward", .descriptor = p.str(), .inputs = {{.shape = x}}};
  c.run = [log](const std::vector<Tensor>& in) {
    return std::vector<Tensor>{kernels::softmax_forward(in[0], log)};
  };
  c.exact = false;  // exponentials
  c.accumulation = p.channels;
  c.bytes = 8.0 * static_cast<double>(x.numel());
  c.benchmark = *network != 0;
  c.network = network;
  list.cases.push_back(c);

  c.entry = "backward";
  c.inputs = {{.shape = x, .fill = Fill::unit}, {.shape = x}};
  c.run = [log](const std::vector<Tensor>& in) {
    return std::vector<Tensor>{kernels::softmax_backward(in[0], in[1], log)};
  };
  c.bytes = 12.0 * static_cast<double>(x.numel());
  list.cases.push_back(c);
}

}  // namespace

void add_softmax_cases(CaseList& list) {
  for (bool log : {false, true}) {
    // Numbers of channels on both sides of each bound of an implementation.
    for (int64_t k : {1, 2, 3, 8, 11, 16, 19, 21, 30, 33, 47, 48, 64, 95, 96, 150})
      add(list, {2, 3, 5, k}, log);
    add(list, {1, 1, 1, 21}, log);
    add(list, {7, 300}, log);
    add(list, {3, 2000}, log);
    add(list, {0, 4, 4, 5}, log);
    add(list, {1, 512, 512, 21}, log, "deeplab_head");
    list.gradients.push_back({.op = "softmax",
                              .descriptor = log ? "log" : "plain",
                              .inputs = {{.shape = {2, 3, 2, 5}}},
                              .function = [log](const std::vector<Variable>& in) {
                                return log ? layers::log_softmax(in[0]) : layers::softmax(in[0]);
                              }});
  }
  list.bad_inputs.push_back(
      {.op = "softmax",
       .descriptor = "integers",
       .call =
           [] {
             kernels::softmax_forward(Tensor::zeros({2, 3}, DType::i32));
           },
       .expected_text = "must be f32, f64 or bf16 with at least one channel. Got i32 [2, 3]"});
  list.bad_inputs.push_back({.op = "softmax",
                             .descriptor = "no channels",
                             .call =
                                 [] {
                                   kernels::softmax_forward(Tensor::zeros({2, 0}));
                                 },
                             .expected_text = "at least one channel"});
  list.bad_inputs.push_back({.op = "softmax",
                             .descriptor = "gradient of another shape",
                             .call =
                                 [] {
                                   kernels::softmax_backward(Tensor::zeros({2, 3}), Tensor::zeros({2, 4}));
                                 },
                             .expected_text = "Got f32 [2, 4]"});
}

}  // namespace atrous::cases
