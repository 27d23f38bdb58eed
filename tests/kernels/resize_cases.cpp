#include "layers/resize.h"

#include "kernels/resize/resize.h"
#include "tests/kernels/op_case.h"

namespace atrous::cases {
namespace {

using kernels::ResizeMode;
using kernels::ResizeOptions;
using kernels::ResizeProblem;

// Weights are multiples of 1/2^k only when enlarging by a power of two; then small integers give exact
// results.
bool has_exact_weights(const ResizeProblem& p) {
  if (p.mode == ResizeMode::nearest) return true;
  auto power_of_two = [](int64_t in, int64_t out) {
    return out % in == 0 && ((out / in) & (out / in - 1)) == 0;
  };
  return !p.align_corners && power_of_two(p.in_h, p.out_h) && power_of_two(p.in_w, p.out_w);
}

void add(CaseList& list, const Shape& x, const ResizeOptions& options, const char* network = "") {
  const ResizeProblem p = kernels::resize_problem(x, DType::f32, options);
  OpCase c{.op = "resize", .entry = "forward", .descriptor = p.str(), .inputs = {{.shape = x}}};
  c.run = [options](const std::vector<Tensor>& in) {
    return std::vector<Tensor>{kernels::resize_forward(in[0], options)};
  };
  c.exact = has_exact_weights(p);
  c.accumulation = 4;
  const Shape y = kernels::resize_shape(p);
  c.bytes = 4.0 * static_cast<double>(x.numel() + y.numel());
  c.benchmark = *network != 0;
  c.network = network;
  list.cases.push_back(c);

  c.entry = "backward";
  c.inputs = {{.shape = y}};
  c.run = [options, x](const std::vector<Tensor>& in) {
    return std::vector<Tensor>{kernels::resize_backward(in[0], x, options)};
  };
  c.accumulation = (2 * options.height / x[1] + 2) * (2 * options.width / x[2] + 2);
  list.cases.push_back(c);
}

void add_gradient(CaseList& list, const Shape& x, const ResizeOptions& options) {
  list.gradients.push_back(
      {.op = "resize",
       .descriptor = kernels::resize_problem(x, DType::f64, options).str(),
       .inputs = {{.shape = x}},
       .function = [options](const std::vector<Variable>& in) { return layers::resize(in[0], options); }});
}

}  // namespace

void add_resize_cases(CaseList& list) {
  const Shape shapes[] = {{2, 5, 7, 3}, {1, 1, 1, 4}, {1, 8, 3, 21}, {1, 2, 9, 16}};
  const int64_t sizes[][2] = {{5, 7}, {10, 14}, {1, 1}, {13, 4}, {16, 24}, {3, 3}, {41, 33}};
  for (const Shape& x : shapes) {
    for (const auto& size : sizes) {
      add(list, x, {size[0], size[1], ResizeMode::bilinear, false});
      add(list, x, {size[0], size[1], ResizeMode::bilinear, true});
      add(list, x, {size[0], size[1], ResizeMode::nearest, false});
    }
  }
  add(list, {0, 4, 4, 3}, {8, 8});
  add(list, {1, 4, 4, 150}, {32, 32});
  for (bool align_corners : {false, true}) {
    add(list, {1, 64, 64, 21}, {512, 512, ResizeMode::bilinear, align_corners}, "deeplab_head");
    add(list, {8, 72, 96, 32}, {144, 192, ResizeMode::bilinear, align_corners}, "unet16_camvid_up");
  }
  add(list, {2, 25, 34, 256}, {50, 68, ResizeMode::nearest}, "fpn");

  for (bool align_corners : {false, true}) {
    add_gradient(list, {2, 3, 5, 2}, {7, 4, ResizeMode::bilinear, align_corners});
    add_gradient(list, {1, 6, 5, 2}, {3, 9, ResizeMode::bilinear, align_corners});
  }
  add_gradient(list, {1, 3, 4, 2}, {7, 3, ResizeMode::nearest});

  auto bad = [&](const char* what, const Shape& x, const ResizeOptions& options, const char* text) {
    list.bad_inputs.push_back({.op = "resize",
                               .descriptor = what,
                               .call = [=] { kernels::resize_forward(Tensor::zeros(x), options); },
                               .expected_text = text});
  };
  bad("rank 3", {4, 4, 3}, {8, 8}, "must be [N, H, W, C]. Got shape [4, 4, 3]");
  bad("to nothing", {1, 4, 4, 3}, {0, 8}, "Got [1, 4, 4, 3] to 0x8");
  bad("nearest with align_corners", {1, 4, 4, 3}, {8, 8, ResizeMode::nearest, true},
      "no meaning for nearest");
  list.bad_inputs.push_back(
      {.op = "resize",
       .descriptor = "output of another shape",
       .call =
           [] {
             kernels::resize_forward(Tensor::zeros({1, 4, 4, 3}), {8, 8}, Tensor::zeros({1, 8, 9, 3}));
           },
       .expected_text = "the output must be f32 [1, 8, 8, 3]"});
}

}  // namespace atrous::cases
