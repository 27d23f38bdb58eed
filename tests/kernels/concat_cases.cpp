#include "kernels/concat/concat.h"

#include "layers/concat.h"
#include "tests/kernels/op_case.h"

namespace atrous::cases {
namespace {

void add(CaseList& list, const Shape& pixel_shape, const std::vector<int64_t>& channels,
         const char* network = "") {
  OpCase c{.op = "concat", .entry = "forward"};
  kernels::ConcatProblem p{pixel_shape.numel() / pixel_shape[-1], channels, DType::f32};
  c.descriptor = p.str();
  for (int64_t n : channels) c.inputs.push_back({.shape = pixel_shape.with(-1, n)});
  c.run = [](const std::vector<Tensor>& in) { return std::vector<Tensor>{kernels::concat_forward(in)}; };
  c.bytes = 8.0 * static_cast<double>(p.pixels * p.total_channels());
  c.benchmark = *network != 0;
  c.network = network;
  list.cases.push_back(c);

  c.entry = "backward";
  c.inputs = {{.shape = pixel_shape.with(-1, p.total_channels())}};
  c.run = [channels](const std::vector<Tensor>& in) { return kernels::concat_backward(in[0], channels); };
  list.cases.push_back(c);
}

}  // namespace

void add_concat_cases(CaseList& list) {
  add(list, {2, 3, 5, 1}, {4, 7});
  add(list, {1, 1, 1, 1}, {1, 1, 1});
  add(list, {3, 4, 1, 1}, {16, 1, 19, 3});
  add(list, {5, 1}, {8});
  add(list, {2, 5, 7, 1}, {8, 24, 16});                  // whole 16-byte units in every dtype
  add(list, {1, 2, 2, 1}, std::vector<int64_t>(17, 2));  // more parts than one GPU launch takes
  add(list, {0, 2, 2, 1}, {2, 3});
  add(list, {1, 256, 256, 1}, {32, 32}, "unet32_256");
  add(list, {2, 65, 65, 1}, {256, 256, 256, 256, 256}, "deeplabv3_r50_513");

  list.gradients.push_back(
      {.op = "concat",
       .descriptor = "three parts",
       .inputs = {{.shape = {2, 3, 2, 3}}, {.shape = {2, 3, 2, 1}}, {.shape = {2, 3, 2, 5}}},
       .function = [](const std::vector<Variable>& in) { return layers::concat(in); }});
  list.gradients.push_back({.op = "concat",
                            .descriptor = "the same part twice",
                            .inputs = {{.shape = {1, 2, 2, 3}}},
                            .function = [](const std::vector<Variable>& in) {
                              return layers::concat({in[0], in[0]});
                            }});

  auto zeros = [](const Shape& s) { return Tensor::zeros(s); };
  list.bad_inputs.push_back({.op = "concat",
                             .descriptor = "other height",
                             .call =
                                 [=] {
                                   kernels::concat_forward({zeros({1, 4, 4, 2}), zeros({1, 5, 4, 2})});
                                 },
                             .expected_text = "Got [1, 4, 4, 2] and [1, 5, 4, 2]"});
  list.bad_inputs.push_back({.op = "concat",
                             .descriptor = "nothing",
                             .call = [] { kernels::concat_forward({}); },
                             .expected_text = "at least one tensor"});
  list.bad_inputs.push_back(
      {.op = "concat",
       .descriptor = "other dtype",
       .call =
           [=] {
             kernels::concat_forward({zeros({1, 1, 1, 2}), Tensor::zeros({1, 1, 1, 2}, DType::f64)});
           },
       .expected_text = "element types must be equal"});
  list.bad_inputs.push_back(
      {.op = "concat",
       .descriptor = "producer elsewhere",
       .call =
           [=] {
             const int64_t channels[] = {2, 3};
             ConcatBuffer buffer(Shape{1, 2, 2}, channels, DType::f32, Device::cpu);
             layers::concat_in_place(buffer, {Variable(buffer.slice(0)), Variable(zeros({1, 2, 2, 3}))});
           },
       .expected_text = "producer 1 must have written into slice 1",
       .kind = ErrorKind::internal});
}

}  // namespace atrous::cases
