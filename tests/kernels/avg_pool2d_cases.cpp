#include "kernels/avg_pool2d/avg_pool2d.h"

#include "layers/avg_pool2d.h"
#include "tests/kernels/op_case.h"

namespace atrous::cases {
namespace {

using kernels::AvgPool2dOptions;
using kernels::AvgPool2dProblem;
using kernels::Pool2dOptions;

struct Sample {
  Shape input;
  AvgPool2dOptions options;
  const char* network = "";  // set for benchmark cases
};

// Exact where every count is a power of two; odd sizes, padding counted or not, ceil mode, gaps, large
// windows.
const Sample samples[] = {
    {{2, 8, 6, 16}, {Pool2dOptions::square(2, 2)}},
    {{1, 9, 7, 5}, {Pool2dOptions::square(4, 1)}},
    {{1, 7, 5, 3}, {Pool2dOptions::square(3, 2, 1)}},
    {{1, 7, 6, 21}, {Pool2dOptions::square(3, 2, 1, true)}},
    {{2, 7, 6, 21}, {Pool2dOptions::square(3, 2, 1, true), false}},
    {{1, 1, 1, 4}, {Pool2dOptions::square(2, 2, 1), false}},
    {{1, 8, 9, 7}, {Pool2dOptions::square(2, 3)}},
    {{1, 9, 8, 6}, {{2, 3, 1, 2, 1, 1, 1, 1, true}, false}},
    {{1, 40, 40, 48}, {Pool2dOptions::square(39, 1)}},
};
const Sample benchmarks[] = {
    {{4, 256, 256, 32}, {Pool2dOptions::square(2, 2)}, "unet32_256"},
    {{8, 56, 56, 128}, {Pool2dOptions::square(2, 2)}, "densenet_224"},
};

void add_pool(CaseList& list, const Sample& s) {
  const AvgPool2dOptions o = s.options;
  const auto problem = AvgPool2dProblem::make("case", s.input, DType::f32, o);
  const Pool2dOptions& window = o.window;
  const int64_t area = window.kernel_h * window.kernel_w;
  OpCase forward;
  forward.op = "avg_pool2d";
  forward.entry = "forward";
  forward.descriptor = problem.str();
  forward.inputs = {{s.input}};
  forward.exact = (area & (area - 1)) == 0 && window.pad_h == 0 && !window.ceil_mode;
  forward.accumulation = area;
  forward.bytes = 4.0 * static_cast<double>(s.input.numel() + problem.pool.output_shape().numel());
  forward.benchmark = *s.network != 0;
  forward.network = s.network;
  forward.run = [o](const std::vector<Tensor>& t) -> std::vector<Tensor> {
    return {kernels::avg_pool2d(t[0], o)};
  };
  list.cases.push_back(forward);

  OpCase backward = forward;
  backward.entry = "backward";
  backward.inputs = {{problem.pool.output_shape()}};
  backward.run = [o, shape = s.input](const std::vector<Tensor>& t) -> std::vector<Tensor> {
    return {kernels::avg_pool2d_backward(t[0], o, shape)};
  };
  list.cases.push_back(backward);
}

}  // namespace

void add_avg_pool2d_cases(CaseList& list) {
  for (const Sample& s : samples) add_pool(list, s);
  for (const Sample& s : benchmarks) add_pool(list, s);
  for (const AvgPool2dOptions& o :
       {AvgPool2dOptions{Pool2dOptions::square(2, 2)}, AvgPool2dOptions{Pool2dOptions::square(3, 2, 1, true)},
        AvgPool2dOptions{Pool2dOptions::square(3, 2, 1, true), false}}) {
    const Shape shape{2, 6, 7, 3};
    list.gradients.push_back({"avg_pool2d",
                              AvgPool2dProblem::make("case", shape, DType::f64, o).str(),
                              {{shape}},
                              [o](const std::vector<Variable>& v) { return layers::avg_pool2d(v[0], o); }});
  }
  auto bad = [&list](const char* what, const Shape& shape, const AvgPool2dOptions& o, const Tensor& out,
                     const char* text) {
    auto call = [=] { layers::avg_pool2d(Variable(Tensor::zeros(shape)), o, out); };
    list.bad_inputs.push_back({"avg_pool2d", what, call, text});
  };
  bad("rank 2", {4, 4}, {}, {}, "[avg_pool2d] the input must be a non-empty [N, H, W, C]. Got [4, 4]");
  bad("dilation", {1, 4, 4, 1}, {{2, 2, 2, 2, 0, 0, 2, 2, false}}, {}, "windows have no dilation. Got 2x2");
  bad("window too large", {1, 4, 1, 1}, {Pool2dOptions::square(2, 2)}, {},
      "must fit the padded input. Got width 1");
  bad("output shape", {1, 4, 4, 1}, {}, Tensor::zeros({1, 4, 4, 1}),
      "output must be f32 [1, 2, 2, 1]. Got f32 [1, 4, 4");
}

}  // namespace atrous::cases
