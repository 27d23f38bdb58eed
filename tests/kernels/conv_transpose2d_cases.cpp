#include "kernels/conv_transpose2d/conv_transpose2d.h"

#include "layers/conv_transpose2d.h"
#include "tests/kernels/op_case.h"

namespace atrous::cases {
namespace {

using kernels::ConvTranspose2dOptions;
using kernels::ConvTranspose2dProblem;

struct Sample {
  Shape input, filter;
  ConvTranspose2dOptions options;
  const char* network = "";  // set for benchmark cases
};

ConvTranspose2dOptions up(int64_t stride, int64_t pad = 0, int64_t output_padding = 0, int64_t dilation = 1,
                          int64_t groups = 1) {
  return {{stride, stride}, {pad, pad}, {output_padding, output_padding}, {dilation, dilation}, groups};
}

// U-Net's 2x2, FCN's bilinear sizes, overlap, gaps between patches, output padding, dilation, groups, one
// pixel.
const Sample samples[] = {
    {{2, 5, 7, 16}, {16, 2, 2, 8}, up(2)},
    {{1, 1, 1, 3}, {3, 2, 2, 5}, up(2)},
    {{1, 4, 3, 5}, {5, 3, 2, 7}, {{3, 2}, {0, 0}, {0, 0}, {1, 1}, 1}},
    {{1, 5, 4, 4}, {4, 2, 2, 3}, up(2, 0, 1)},
    {{1, 6, 5, 21}, {21, 4, 4, 21}, up(2, 1)},
    {{2, 3, 4, 6}, {6, 3, 3, 4}, up(2, 1, 1)},
    {{1, 4, 4, 2}, {2, 2, 2, 3}, up(3, 0, 2)},
    {{1, 5, 6, 4}, {4, 3, 3, 2}, up(1, 1)},
    {{1, 4, 5, 4}, {4, 3, 2, 2}, {{2, 3}, {1, 2}, {1, 0}, {2, 3}, 2}},
    {{1, 3, 3, 6}, {6, 2, 2, 1}, up(2, 0, 0, 1, 3)},
    {{1, 2, 3, 4}, {4, 16, 16, 3}, up(8, 4)},
    // On GPUs: patches of several tiles, long sums that blocks share, a patch that is no square, no image.
    {{1, 9, 8, 72}, {72, 2, 2, 20}, up(2)},
    {{3, 11, 16, 8}, {8, 2, 2, 4}, up(2)},
    {{1, 3, 4, 3}, {3, 3, 2, 7}, {{3, 2}, {0, 0}, {0, 0}, {1, 1}, 1}},
    {{0, 4, 4, 8}, {8, 2, 2, 4}, up(2)},
};
const Sample benchmarks[] = {
    {{8, 72, 96, 32}, {32, 2, 2, 16}, up(2), "unet16_camvid"},
    {{8, 9, 12, 256}, {256, 2, 2, 128}, up(2), "unet16_camvid"},
    {{4, 128, 128, 64}, {64, 2, 2, 32}, up(2), "unet32_256"},
    {{4, 64, 64, 128}, {128, 2, 2, 64}, up(2), "unet32_256"},
    {{4, 16, 16, 512}, {512, 2, 2, 256}, up(2), "unet32_256"},
    {{1, 34, 34, 21}, {21, 4, 4, 21}, up(2), "fcn8s_500"},
};

OpCase base_case(const char* entry, const ConvTranspose2dProblem& p, const Sample& s, int64_t accumulation) {
  OpCase c;
  c.op = "conv_transpose2d";
  c.entry = entry;
  c.descriptor = p.str();
  c.accumulation = accumulation;
  c.flops = 2.0 * static_cast<double>(p.input_shape().numel() * s.filter[1] * s.filter[2] * s.filter[3]);
  c.bytes = p.conv.bytes();
  c.benchmark = *s.network != 0;
  c.network = s.network;
  return c;
}

void add_all_passes(CaseList& list, const Sample& s) {
  ConvTranspose2dOptions o = s.options;
  o.math.exact_sums = *s.network == 0;  // whatever convolution it is built on: small integers stay exact
  const auto p = ConvTranspose2dProblem::make("case", s.input, s.filter, o, DType::f32);
  OpCase forward = base_case("forward", p, s, s.filter.numel() / s.filter[3] / o.groups + 1);
  forward.inputs = {{s.input}, {s.filter}, {.shape = {p.conv.c}, .parameter = true}};
  forward.run = [o](const std::vector<Tensor>& t) -> std::vector<Tensor> {
    return {kernels::conv_transpose2d(t[0], t[1], t[2], o)};
  };
  list.cases.push_back(forward);

  OpCase input = base_case("backward_input", p, s, s.filter.numel() / s.filter[0]);
  input.inputs = {{p.output_shape()}, {s.filter}};
  input.run = [o, shape = s.input](const std::vector<Tensor>& t) -> std::vector<Tensor> {
    return {kernels::conv_transpose2d_backward_input(t[0], t[1], o, shape)};
  };
  list.cases.push_back(input);

  OpCase weight = base_case("backward_weight", p, s, s.input.numel() / s.input[3]);
  weight.inputs = {{p.output_shape()}, {s.input}};
  weight.run = [o, shape = s.filter](const std::vector<Tensor>& t) -> std::vector<Tensor> {
    return {kernels::conv_transpose2d_backward_weight(t[0], t[1], o, shape)};
  };
  list.cases.push_back(weight);
}

// The result lands in a slice of a concatenation, where vector accesses stay possible; without bias.
void add_slice_case(CaseList& list, const Sample& s) {
  const ConvTranspose2dOptions o = s.options;
  const auto p = ConvTranspose2dProblem::make("case", s.input, s.filter, o, DType::f32);
  OpCase c = base_case("forward", p, s, s.filter.numel() / s.filter[3]);
  c.descriptor += " into a slice";
  c.inputs = {{s.input}, {s.filter}};
  c.run = [o, p](const std::vector<Tensor>& t) -> std::vector<Tensor> {
    const Tensor whole = Tensor::full(p.output_shape().with(3, p.conv.c + 8), 9, t[0].dtype(), t[0].device());
    kernels::conv_transpose2d(t[0], t[1], {}, o, whole.narrow_channels(4, p.conv.c));
    return {whole};
  };
  list.cases.push_back(c);
}

void add_bad_inputs(CaseList& list) {
  auto bad = [&list](const char* what, const Shape& x, const Shape& w, const ConvTranspose2dOptions& o,
                     const char* text, const Tensor& bias = {}) {
    auto call = [=] {
      layers::conv_transpose2d(Variable(Tensor::zeros(x)), Variable(Tensor::zeros(w)),
                               bias.defined() ? Variable(bias) : Variable(), o);
    };
    list.bad_inputs.push_back({"conv_transpose2d", what, call, text});
  };
  bad("other channels", {1, 4, 4, 3}, {4, 2, 2, 3}, up(2),
      "with the same K. Got input [1, 4, 4, 3], filter [4, 2, 2, 3]");
  bad("output_padding", {1, 4, 4, 3}, {3, 2, 2, 3}, up(2, 0, 2), "below the stride. Got 2x2 with stride 2x2");
  bad("all padding", {1, 1, 1, 3}, {3, 2, 2, 3}, up(2, 1), "which give 0x0. Use less padding");
  bad("groups", {1, 4, 4, 3}, {3, 2, 2, 3}, up(2, 0, 0, 1, 2), "groups must divide C and K");
  bad("bias", {1, 4, 4, 3}, {3, 2, 2, 5}, up(2), "bias must be f32 [5]. Got f32 [3]", Tensor::zeros({3}));
  auto over_input = [] {
    const Tensor x = Tensor::zeros({1, 4, 4, 3});
    kernels::conv_transpose2d(x, Tensor::zeros({3, 1, 1, 3}), {}, up(1), x);
  };
  list.bad_inputs.push_back({"conv_transpose2d", "output over input", over_input, "must not overlap"});
}

}  // namespace

void add_conv_transpose2d_cases(CaseList& list) {
  for (const Sample& s : samples) add_all_passes(list, s);
  for (const Sample& s : benchmarks) add_all_passes(list, s);
  add_slice_case(list, samples[0]);
  add_slice_case(list, samples[5]);
  for (int i : {0, 5, 8}) {
    const Sample& s = samples[i];
    const auto p = ConvTranspose2dProblem::make("case", s.input, s.filter, s.options, DType::f64);
    list.gradients.push_back({"conv_transpose2d",
                              p.str(),
                              {{s.input}, {s.filter}, {{p.conv.c}}},
                              [o = s.options](const std::vector<Variable>& v) {
                                return layers::conv_transpose2d(v[0], v[1], v[2], o);
                              }});
  }
  add_bad_inputs(list);
}

}  // namespace atrous::cases
