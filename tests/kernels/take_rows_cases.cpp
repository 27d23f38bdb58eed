#include "kernels/take_rows/take_rows.h"

#include "layers/take_rows.h"
#include "tests/kernels/op_case.h"

namespace atrous::cases {
namespace {

using kernels::TakeRowsProblem;

// Indices below `count`, a tenth of them -1.
Input index_input(int64_t length, int64_t count) {
  return {.shape = {length}, .fill = Fill::labels, .classes = count, .ignore_label = -1};
}

OpCase base_case(const char* entry, const TakeRowsProblem& p, const Shape& from, const Input& index,
                 const char* network) {
  OpCase c{.op = "take_rows", .entry = entry, .descriptor = p.str()};
  c.inputs = {{.shape = from}, index};
  c.bytes = 8.0 * static_cast<double>(from.numel());
  c.benchmark = *network != 0;
  c.network = network;
  return c;
}

int64_t inner_pixels(const Shape& s) {
  return s.numel() ? s.numel() / s[0] / s[-1] : 0;
}

void add_rows(CaseList& list, const Shape& x, int64_t picks, const char* network = "") {
  const TakeRowsProblem p{x[0], picks, inner_pixels(x), x[-1]};
  OpCase c = base_case("rows", p, x, index_input(picks, x[0]), network);
  c.run = [](const std::vector<Tensor>& in) { return std::vector<Tensor>{kernels::take_rows(in[0], in[1])}; };
  list.cases.push_back(c);

  OpCase back = base_case("rows_backward", p, x.with(0, picks), index_input(picks, x[0]), network);
  back.run = [rows = x[0]](const std::vector<Tensor>& in) {
    return std::vector<Tensor>{kernels::take_rows_backward(in[0], in[1], rows)};
  };
  back.accumulation = 1 + picks;
  list.cases.push_back(back);
}

void add_class(CaseList& list, const Shape& x, int64_t width, const char* network = "") {
  const int64_t classes = x[-1] / width;
  const TakeRowsProblem p{x[0], x[0], inner_pixels(x), x[-1], classes};
  OpCase c = base_case("by_class", p, x, index_input(x[0], classes), network);
  c.run = [width](const std::vector<Tensor>& in) {
    return std::vector<Tensor>{kernels::take_class(in[0], in[1], width)};
  };
  list.cases.push_back(c);

  OpCase back = base_case("by_class_backward", p, x.with(-1, width), index_input(x[0], classes), network);
  back.run = [channels = x[-1]](const std::vector<Tensor>& in) {
    return std::vector<Tensor>{kernels::take_class_backward(in[0], in[1], channels)};
  };
  list.cases.push_back(back);
}

// Integers and bytes are moved too.
void add_labels(CaseList& list) {
  OpCase c = base_case("rows", {9, 20, 1, 3, 1, DType::i32}, {9, 3}, index_input(20, 9), "");
  c.descriptor += " labels";
  c.run = [](const std::vector<Tensor>& in) {
    return std::vector<Tensor>{kernels::take_rows(in[0].to(DType::i32), in[1]),
                               kernels::take_rows(in[0].to(DType::u8), in[1])};
  };
  list.cases.push_back(c);
}

void add_bad_inputs(CaseList& list) {
  const auto bad = [&](const char* what, std::function<void()> call, const char* text) {
    list.bad_inputs.push_back(
        {.op = "take_rows", .descriptor = what, .call = std::move(call), .expected_text = text});
  };
  const Tensor x = Tensor::zeros({3, 8}), two = Tensor::zeros({2}, DType::i32);
  bad(
      "floats for indices", [=] { kernels::take_rows(x, Tensor::zeros({2})); },
      "[take_rows] indices must be i32 [m]. Got f32 [2]");
  bad(
      "no rows", [=] { kernels::take_rows(Tensor::zeros({3}), two); },
      "needs rows of channels, [n, ..., C]. Got f32 [3]");
  bad(
      "backward of integers",
      [=] {
        kernels::take_rows_backward(Tensor::zeros({2, 3}, DType::i32), two, 3);
      },
      "[take_rows_backward] needs f32, f64 or bf16. Got i32 [2, 3]");
  bad(
      "backward of other rows", [=] { kernels::take_rows_backward(x, two, 3); },
      "needs one row per index. Got f32 [3, 8] and i32 [2]");
  bad(
      "one class per row", [=] { kernels::take_class(x, two); },
      "[take_class] needs one index per row. Got i32 [2] for f32 [3, 8]");
  bad(
      "broken classes", [=] { kernels::take_class(x, Tensor::zeros({3}, DType::i32), 3); },
      "Got 8 channels for classes of 3");
  bad(
      "two devices", [=] { kernels::take_rows(x, two.to(Device::sim)); }, "one device");
}

}  // namespace

void add_take_rows_cases(CaseList& list) {
  add_rows(list, {1, 1}, 1);
  add_rows(list, {7, 5}, 30);  // many picks of the same rows
  add_rows(list, {300, 4}, 20);
  add_rows(list, {9, 3, 5, 8}, 12);
  add_rows(list, {5, 2, 2, 21}, 4);
  add_rows(list, {6, 4}, 0);
  add_rows(list, {260, 1}, 600);
  add_class(list, {1, 1}, 1);
  add_class(list, {6, 7, 7, 91}, 1);
  add_class(list, {5, 4, 4, 8}, 1);
  add_class(list, {33, 84}, 4);
  add_class(list, {4, 3, 6}, 3);
  add_class(list, {0, 28, 28, 3}, 1);
  add_labels(list);
  add_rows(list, {268569, 4}, 256, "maskrcnn_rpn");
  add_rows(list, {512, 14, 14, 256}, 128, "maskrcnn_positives");
  add_class(list, {128, 28, 28, 91}, 1, "maskrcnn_masks");

  list.gradients.push_back(
      {.op = "take_rows",
       .descriptor = "rows, some of them twice",
       .inputs = {{.shape = {4, 2, 3}}, index_input(9, 4)},
       .function = [](const std::vector<Variable>& in) { return layers::take_rows(in[0], in[1].value()); }});
  list.gradients.push_back({.op = "take_rows",
                            .descriptor = "boxes of a class",
                            .inputs = {{.shape = {5, 12}}, index_input(5, 3)},
                            .function = [](const std::vector<Variable>& in) {
                              return layers::take_class(in[0], in[1].value(), 4);
                            }});
  add_bad_inputs(list);
}

}  // namespace atrous::cases
