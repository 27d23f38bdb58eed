#include "kernels/adaptive_avg_pool2d/adaptive_avg_pool2d.h"

#include "layers/adaptive_avg_pool2d.h"
#include "tests/kernels/op_case.h"

namespace atrous::cases {
namespace {

using kernels::AdaptiveAvgPool2dProblem;

struct Sample {
  Shape input;
  int64_t height, width;
  bool exact = false;        // every bin holds a power of two of pixels
  const char* network = "";  // set for benchmark cases
};

// Bins that divide, overlap, repeat pixels, or cover so much that several blocks share one.
const Sample samples[] = {
    {{2, 8, 4, 16}, 4, 2, true}, {{1, 32, 32, 96}, 1, 1, true}, {{1, 5, 4, 3}, 5, 4, true},
    {{1, 7, 10, 5}, 3, 3},       {{2, 3, 2, 7}, 5, 6},          {{1, 1, 1, 4}, 1, 1, true},
    {{1, 1, 1, 2}, 3, 2, true},  {{1, 13, 11, 21}, 6, 6},       {{3, 7, 7, 9}, 1, 1},
    {{2, 61, 67, 19}, 1, 1},     {{1, 61, 67, 70}, 1, 2},
};
const Sample benchmarks[] = {
    {{4, 60, 60, 2048}, 1, 1, false, "pspnet_r50_473"},    {{4, 60, 60, 2048}, 6, 6, false, "pspnet_r50_473"},
    {{4, 33, 33, 2048}, 1, 1, false, "deeplabv3_r50_513"}, {{8, 56, 56, 72}, 1, 1, false, "mobilenet_v3_224"},
    {{8, 7, 7, 960}, 1, 1, false, "mobilenet_v3_224"},
};

void add_pool(CaseList& list, const Sample& s) {
  const auto problem = AdaptiveAvgPool2dProblem::make("case", s.input, DType::f32, s.height, s.width);
  OpCase forward;
  forward.op = "adaptive_avg_pool2d";
  forward.entry = "forward";
  forward.descriptor = problem.str();
  forward.inputs = {{s.input}};
  forward.exact = s.exact;
  forward.accumulation = (s.input[1] / s.height + 2) * (s.input[2] / s.width + 2);
  forward.bytes = 4.0 * static_cast<double>(s.input.numel() + problem.output_shape().numel());
  forward.benchmark = *s.network != 0;
  forward.network = s.network;
  forward.run = [h = s.height, w = s.width](const std::vector<Tensor>& t) -> std::vector<Tensor> {
    return {kernels::adaptive_avg_pool2d(t[0], h, w)};
  };
  list.cases.push_back(forward);

  OpCase backward = forward;
  backward.entry = "backward";
  backward.inputs = {{problem.output_shape()}};
  backward.run = [shape = s.input](const std::vector<Tensor>& t) -> std::vector<Tensor> {
    return {kernels::adaptive_avg_pool2d_backward(t[0], shape)};
  };
  list.cases.push_back(backward);
}

}  // namespace

void add_adaptive_avg_pool2d_cases(CaseList& list) {
  for (const Sample& s : samples) add_pool(list, s);
  for (const Sample& s : benchmarks) add_pool(list, s);
  auto gradient = [&list](int64_t height, int64_t width) {
    const Shape shape{2, 5, 7, 3};
    list.gradients.push_back(
        {"adaptive_avg_pool2d",
         AdaptiveAvgPool2dProblem::make("case", shape, DType::f64, height, width).str(),
         {{shape}},
         [=](const std::vector<Variable>& v) { return layers::adaptive_avg_pool2d(v[0], height, width); }});
  };
  gradient(1, 1);
  gradient(3, 3);
  gradient(8, 2);
  auto bad = [&list](const char* what, const Shape& shape, int64_t height, const Tensor& out,
                     const char* text) {
    auto call = [=] { layers::adaptive_avg_pool2d(Variable(Tensor::zeros(shape)), height, 2, out); };
    list.bad_inputs.push_back({"adaptive_avg_pool2d", what, call, text});
  };
  bad("rank 3", {4, 4, 2}, 1, {},
      "[adaptive_avg_pool2d] the input must be a non-empty [N, H, W, C]. Got [4, 4, 2]");
  bad("empty output", {1, 4, 4, 2}, 0, {}, "output size must be positive. Got 0x2");
  bad("output shape", {1, 4, 4, 2}, 1, Tensor::zeros({1, 1, 1, 2}), "output must be f32 [1, 1, 2, 2]");
}

}  // namespace atrous::cases
