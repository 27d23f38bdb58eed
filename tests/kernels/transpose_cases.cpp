#include "kernels/transpose/transpose.h"

#include "layers/transpose.h"
#include "tests/kernels/op_case.h"

namespace atrous::cases {
namespace {

void add(CaseList& list, const Shape& x, const char* network = "") {
  const int64_t matrix = x[-2] * x[-1];
  const kernels::TransposeProblem p{matrix ? x.numel() / matrix : 0, x[-2], x[-1]};
  OpCase c{.op = "transpose", .entry = "forward", .descriptor = p.str()};
  c.inputs = {{.shape = x}};
  c.run = [](const std::vector<Tensor>& in) { return std::vector<Tensor>{kernels::transpose(in[0])}; };
  c.bytes = 8.0 * static_cast<double>(x.numel());
  c.benchmark = *network != 0;
  c.network = network;
  list.cases.push_back(c);
}

// Integers and bytes are moved too.
void add_labels(CaseList& list) {
  OpCase c{.op = "transpose", .entry = "forward", .descriptor = "labels 2 of 40x5"};
  c.inputs = {{.shape = {2, 40, 5}, .fill = Fill::labels, .classes = 21}};
  c.run = [](const std::vector<Tensor>& in) {
    return std::vector<Tensor>{kernels::transpose(in[0]), kernels::transpose(in[0].to(DType::u8))};
  };
  list.cases.push_back(c);
}

}  // namespace

void add_transpose_cases(CaseList& list) {
  add(list, {1, 1});
  add(list, {5, 3});
  add(list, {3, 49, 19});
  add(list, {2, 3, 33, 65});
  add(list, {1, 32, 64});
  add(list, {40, 2, 3});
  add(list, {0, 49, 8});
  add(list, {2, 0, 8});
  add_labels(list);
  add(list, {512, 49, 256}, "maskrcnn_box_head");

  list.gradients.push_back(
      {.op = "transpose",
       .descriptor = "matrices",
       .inputs = {{.shape = {2, 4, 3}}},
       .function = [](const std::vector<Variable>& in) { return layers::transpose(in[0]); }});

  const auto bad = [&](const char* what, std::function<void()> call, const char* text) {
    list.bad_inputs.push_back(
        {.op = "transpose", .descriptor = what, .call = std::move(call), .expected_text = text});
  };
  bad(
      "a vector", [] { kernels::transpose(Tensor::zeros({3})); },
      "[transpose] needs two axes or more to swap the last two. Got f32 [3].");
  bad(
      "nothing", [] { kernels::transpose(Tensor()); }, "Got undefined.");
}

}  // namespace atrous::cases
