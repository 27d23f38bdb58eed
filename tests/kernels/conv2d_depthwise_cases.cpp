// Depthwise convolution: conv2d with one group per input channel.
#include "kernels/conv2d/conv2d.h"
#include "layers/conv2d.h"
#include "tests/kernels/op_case.h"

namespace atrous::cases {
namespace {

using kernels::Conv2dOptions;
using kernels::Conv2dProblem;

struct Sample {
  Shape input, filter;
  Conv2dOptions options;     // without groups
  const char* network = "";  // set for benchmark cases
};

Conv2dOptions with(int64_t stride, int64_t pad, int64_t dilation = 1) {
  return {{stride, stride}, {pad, pad}, {dilation, dilation}};
}

Conv2dOptions options_of(const Sample& s) {
  Conv2dOptions o = s.options;
  o.groups = s.input[3];
  return o;
}

// Channel counts that use every register width; strides against dilations; filters wider than the image;
// multipliers.
const Sample samples[] = {
    {{2, 7, 9, 16}, {16, 3, 3, 1}, with(1, 1)},
    {{1, 8, 7, 107}, {107, 3, 3, 1}, with(2, 1)},
    {{1, 9, 9, 40}, {40, 5, 5, 1}, with(2, 2)},
    {{1, 11, 10, 64}, {64, 3, 3, 1}, with(1, 2, 2)},
    {{1, 6, 5, 3}, {3, 3, 3, 1}, with(1, 6, 6)},
    {{1, 1, 1, 5}, {5, 3, 3, 1}, with(1, 1)},
    {{1, 5, 6, 24}, {24, 2, 3, 1}, {{2, 3}, {1, 0}, {3, 2}}},
    {{1, 13, 4, 7}, {7, 4, 1, 1}, {{4, 1}, {0, 0}, {2, 1}}},
    {{2, 5, 4, 6}, {18, 3, 3, 1}, with(1, 1)},
    {{1, 5, 4, 33}, {66, 3, 3, 1}, with(2, 1)},
    {{1, 4, 4, 8}, {8, 1, 1, 1}, with(1, 0)},
    // On GPUs: several strips per row, more groups of channels than a block has lanes, no image, several
    // blocks.
    {{1, 3, 37, 136}, {136, 3, 3, 1}, with(1, 1)},
    {{1, 4, 19, 16}, {16, 5, 5, 1}, with(1, 2)},
    {{1, 3, 40, 8}, {8, 3, 3, 1}, {{1, 3}, {2, 3}, {2, 3}}},
    {{1, 7, 9, 4}, {4, 3, 3, 1}, with(3, 1)},
    {{0, 5, 5, 8}, {8, 3, 3, 1}, with(1, 1)},
    {{2, 21, 23, 19}, {19, 3, 3, 1}, with(2, 2, 3)},
    {{2, 20, 7, 136}, {136, 3, 3, 1}, with(1, 1)},  // several blocks of rows and of channels
    {{1, 3, 21, 40}, {40, 2, 9, 1}, with(1, 4)},    // more taps than one sweep of the gradient holds
};
const Sample benchmarks[] = {
    {{8, 112, 112, 64}, {64, 3, 3, 1}, with(2, 1), "mobilenet_v3_224"},
    {{8, 56, 56, 72}, {72, 3, 3, 1}, with(1, 1), "mobilenet_v3_224"},
    {{8, 28, 28, 120}, {120, 5, 5, 1}, with(1, 2), "mobilenet_v3_224"},
    {{8, 14, 14, 672}, {672, 3, 3, 1}, with(1, 1), "mobilenet_v3_224"},
    {{2, 33, 33, 960}, {960, 5, 5, 1}, with(1, 4, 2), "deeplabv3_mobilenet_520"},
    {{2, 129, 129, 256}, {256, 3, 3, 1}, with(1, 1), "deeplabv3plus_513"},
};

void add_all_passes(CaseList& list, const Sample& s) {
  const Conv2dOptions o = options_of(s);
  const auto p = Conv2dProblem::make("case", s.input, s.filter, o, DType::f32);
  auto base = [&](const char* entry, int64_t accumulation) {
    OpCase c;
    c.op = "conv2d";
    c.entry = entry;
    c.descriptor = p.str();
    c.accumulation = accumulation;
    c.flops = p.flops();
    c.bytes = p.bytes();
    c.benchmark = *s.network != 0;
    c.network = s.network;
    return c;
  };
  OpCase forward = base("forward", p.r * p.s + 1);
  forward.inputs = {{s.input}, {s.filter}, {.shape = {p.k}, .parameter = true}};
  forward.run = [o](const std::vector<Tensor>& t) -> std::vector<Tensor> {
    kernels::Conv2dFusion bias;
    bias.bias = t[2];
    return {kernels::conv2d(t[0], t[1], o, bias)};
  };
  list.cases.push_back(forward);

  OpCase input = base("backward_input", p.r * p.s * p.k / p.c);
  input.inputs = {{p.output_shape()}, {s.filter}};
  input.run = [o, shape = s.input](const std::vector<Tensor>& t) -> std::vector<Tensor> {
    return {kernels::conv2d_backward_input(t[0], t[1], o, shape)};
  };
  list.cases.push_back(input);

  OpCase weight = base("backward_weight", p.n * p.p() * p.q());
  weight.inputs = {{p.output_shape()}, {s.input}};
  weight.run = [o, shape = s.filter](const std::vector<Tensor>& t) -> std::vector<Tensor> {
    return {kernels::conv2d_backward_weight(t[0], t[1], o, shape)};
  };
  list.cases.push_back(weight);
}

// The result lands in a slice of a concatenation, where 16-byte accesses stay possible; without bias.
void add_slice_case(CaseList& list, const Sample& s) {
  const Conv2dOptions o = options_of(s);
  const auto p = Conv2dProblem::make("case", s.input, s.filter, o, DType::f32);
  OpCase c;
  c.op = "conv2d";
  c.entry = "forward";
  c.descriptor = p.str() + " into a slice";
  c.inputs = {{s.input}, {s.filter}};
  c.accumulation = p.r * p.s;
  c.run = [o, p](const std::vector<Tensor>& t) -> std::vector<Tensor> {
    const Tensor whole = Tensor::full(p.output_shape().with(3, p.k + 8), 9, t[0].dtype(), t[0].device());
    kernels::conv2d(t[0], t[1], o, {}, whole.narrow_channels(8, p.k));
    return {whole};
  };
  list.cases.push_back(c);
}

}  // namespace

void add_depthwise_cases(CaseList& list) {
  for (const Sample& s : samples) add_all_passes(list, s);
  for (const Sample& s : benchmarks) add_all_passes(list, s);
  add_slice_case(list, samples[0]);
  for (int i : {6, 8}) {
    const Sample& s = samples[i];
    const auto p = Conv2dProblem::make("case", s.input, s.filter, options_of(s), DType::f64);
    list.gradients.push_back({"conv2d",
                              p.str(),
                              {{s.input}, {s.filter}, {{p.k}}},
                              [o = options_of(s)](const std::vector<Variable>& v) {
                                return layers::conv2d(v[0], v[1], v[2], o);
                              }});
  }
}

}  // namespace atrous::cases
