#include "kernels/dropout/dropout.h"

#include "layers/dropout.h"
#include "tests/kernels/op_case.h"

namespace atrous::cases {
namespace {

using kernels::DropoutProblem;

constexpr RandomKey key{0x123456789abcdef0u, 0x0fedcba987654321u};

OpCase dropout_case(const Shape& shape, double p, bool by_channel) {
  OpCase c{.op = "dropout",
           .entry = "forward",
           .descriptor = DropoutProblem{shape, DType::f32, p, by_channel}.str(),
           .inputs = {{shape, Fill::off_kink}}};  // a dropped zero would hide itself
  c.run = [=](const std::vector<Tensor>& in) {
    const Tensor y = Tensor::empty_like(in[0]);
    kernels::dropout(in[0], p, by_channel, key, y);
    return std::vector<Tensor>{y};
  };
  c.exact = p == 0.5 || p == 0.75;  // 1 / (1 - p) is a power of two
  c.flops = static_cast<double>(shape.numel());
  c.bytes = 8.0 * static_cast<double>(shape.numel());
  return c;
}

}  // namespace

void add_dropout_cases(CaseList& list) {
  for (const Shape& shape : {Shape{2, 5, 7, 3}, Shape{1, 9, 5, 16}, Shape{3, 67, 33, 11}, Shape{5, 40}}) {
    for (double p : {0.0, 0.1, 0.5, 0.75}) {
      for (bool by_channel : {false, true}) list.cases.push_back(dropout_case(shape, p, by_channel));
    }
  }
  list.cases.push_back(dropout_case({37}, 0.5, false));
  for (bool by_channel : {false, true}) {
    const Shape shape{2, 3, 4, 5};
    list.gradients.push_back({"dropout",
                              DropoutProblem{shape, DType::f64, 0.3, by_channel}.str(),
                              {{shape}},
                              [=](const std::vector<Variable>& in) {
                                return by_channel ? layers::dropout2d(in[0], 0.3, key)
                                                  : layers::dropout(in[0], 0.3, key);
                              }});
  }
  auto zeros = [](const Shape& shape, DType dtype = DType::f32) {
    return Variable(Tensor::zeros(shape, dtype));
  };
  list.bad_inputs.push_back({"dropout", "p of 1",
                             [=] {
                               layers::dropout(zeros({2, 3}), 1.0, key);
                             },
                             "must be in [0, 1). Got 1"});
  list.bad_inputs.push_back({"dropout", "negative p",
                             [=] {
                               layers::dropout(zeros({2, 3}), -0.1, key);
                             },
                             "must be in [0, 1)"});
  list.bad_inputs.push_back({"dropout", "integers",
                             [=] {
                               layers::dropout(zeros({2, 3}, DType::u8), 0.1, key);
                             },
                             "f32, f64 or bf16"});
  list.bad_inputs.push_back({"dropout", "by channel without images",
                             [=] { layers::dropout2d(zeros({3}), 0.1, key); }, "[N, ..., C]"});

  OpCase big = dropout_case({1, 65, 65, 256}, 0.5, false);
  big.benchmark = true;
  big.network = "deeplabv3_r50_513";
  list.cases.push_back(big);
}

}  // namespace atrous::cases
