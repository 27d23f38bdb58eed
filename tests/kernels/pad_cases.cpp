#include "kernels/pad/pad.h"

#include "layers/pad.h"
#include "tests/kernels/op_case.h"

namespace atrous::cases {
namespace {

using kernels::PadMode;
using kernels::PadOptions;

void add(CaseList& list, const Shape& x, const PadOptions& options, const char* network = "") {
  const auto p = kernels::pad_problem(x, DType::f32, options);
  OpCase c{.op = "pad", .entry = "forward", .descriptor = p.str(), .inputs = {{.shape = x}}};
  c.run = [options](const std::vector<Tensor>& in) {
    return std::vector<Tensor>{kernels::pad_forward(in[0], options)};
  };
  const Shape y = kernels::pad_shape(p);
  c.bytes = 4.0 * static_cast<double>(x.numel() + y.numel());
  c.benchmark = *network != 0;
  c.network = network;
  list.cases.push_back(c);

  c.entry = "backward";
  c.inputs = {{.shape = y}};
  c.run = [options, x](const std::vector<Tensor>& in) {
    return std::vector<Tensor>{kernels::pad_backward(in[0], x, options)};
  };
  c.accumulation = 9;
  list.cases.push_back(c);
}

}  // namespace

void add_pad_cases(CaseList& list) {
  for (PadMode mode : {PadMode::constant, PadMode::replicate, PadMode::reflect}) {
    for (const Shape& x : {Shape{2, 5, 7, 3}, Shape{1, 4, 4, 21}}) {
      add(list, x, {1, 2, 3, 0, mode, 2});
      add(list, x, {3, 3, 3, 3, mode, -1});
      add(list, x, {-1, 2, 1, -2, mode, 5});
      add(list, x, {-2, -1, -3, 0, mode});
      add(list, x, {0, 0, 0, 0, mode});
      list.gradients.push_back(
          {.op = "pad",
           .descriptor = kernels::pad_problem(x, DType::f64, {2, -1, 3, 1, mode, 2}).str(),
           .inputs = {{.shape = x}},
           .function = [mode](const std::vector<Variable>& in) {
             return layers::pad(in[0], {2, -1, 3, 1, mode, 2});
           }});
    }
  }
  add(list, {1, 3, 4, 24}, {2, 1, 3, 2, PadMode::reflect});  // whole channel groups on a GPU
  add(list, {0, 4, 4, 8}, {1, 1, 1, 1});
  add(list, {1, 1, 1, 4}, {2, 3, 0, 1, PadMode::replicate});
  add(list, {1, 1, 1, 4}, {2, 3, 40, 1, PadMode::constant, 7});
  add(list, {8, 144, 192, 32}, {-8, -8, -8, -8}, "unet32_crop");
  add(list, {1, 360, 480, 3}, {100, 100, 100, 100}, "fcn_vgg16");
  list.gradients.push_back(
      {.op = "pad",
       .descriptor = "center_crop",
       .inputs = {{.shape = {2, 5, 6, 2}}},
       .function = [](const std::vector<Variable>& in) { return layers::center_crop(in[0], 2, 3); }});

  auto bad = [&](const char* what, const std::function<void(const Variable&)>& f, const char* text) {
    list.bad_inputs.push_back({.op = "pad",
                               .descriptor = what,
                               .call =
                                   [f] {
                                     f(Variable(Tensor::zeros({1, 4, 6, 2})));
                                   },
                               .expected_text = text});
  };
  bad(
      "nothing left",
      [](const Variable& x) {
        layers::pad(x, {-2, -2, 0, 0});
      },
      "must leave at least one pixel");
  bad(
      "reflect too far",
      [](const Variable& x) {
        layers::pad(x, {4, 0, 0, 0, PadMode::reflect});
      },
      "reflect can pad by at most the size minus one. Got pads top 4, bottom 0, left 0, right 0 for [1, 4, "
      "6, 2]");
  bad(
      "crop outside", [](const Variable& x) { layers::crop(x, 2, 0, 3, 2); },
      "Got 3x2 at row 2, column 0 of [1, 4, 6, 2]");
  bad(
      "centre larger than the whole", [](const Variable& x) { layers::center_crop(x, 5, 2); },
      "Got 5x2 of [1, 4, 6, 2]");
  bad(
      "rank 3",
      [](const Variable& x) {
        layers::pad(Variable(x.value().reshape({4, 6, 2})), {1, 1, 1, 1});
      },
      "must be f32, f64 or bf16 of shape [N, H, W, C]. Got f32 [4, 6, 2]");
}

}  // namespace atrous::cases
