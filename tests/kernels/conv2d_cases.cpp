#include "kernels/conv2d/conv2d.h"

#include "layers/conv2d.h"
#include "tests/kernels/op_case.h"

namespace atrous::cases {

void add_depthwise_cases(CaseList& list);  // conv2d_depthwise_cases.cpp

namespace {

using kernels::Conv2dFusion;
using kernels::Conv2dOptions;
using kernels::Conv2dProblem;

Conv2dOptions options_of(const Conv2dProblem& p) {
  return {{p.stride_h, p.stride_w}, {p.pad_h, p.pad_w}, {p.dilation_h, p.dilation_w}, p.groups};
}

OpCase base_case(const Conv2dProblem& p, const char* entry, int64_t accumulation) {
  OpCase c;
  c.op = "conv2d";
  c.entry = entry;
  c.descriptor = p.str();
  c.accumulation = accumulation;
  c.flops = p.flops();
  c.bytes = p.bytes();
  return c;
}

OpCase forward_case(const Conv2dProblem& p) {
  OpCase c = base_case(p, "forward", p.r * p.s * p.c / p.groups);
  c.inputs = {{p.input_shape()}, {p.filter_shape()}};
  c.run = [p](const std::vector<Tensor>& in) {
    return std::vector<Tensor>{kernels::conv2d(in[0], in[1], options_of(p))};
  };
  return c;
}

OpCase backward_input_case(const Conv2dProblem& p) {
  OpCase c = base_case(p, "backward_input", p.r * p.s * p.k / p.groups);
  c.inputs = {{p.output_shape()}, {p.filter_shape()}};
  c.run = [p](const std::vector<Tensor>& in) {
    return std::vector<Tensor>{kernels::conv2d_backward_input(in[0], in[1], options_of(p), p.input_shape())};
  };
  return c;
}

OpCase backward_weight_case(const Conv2dProblem& p) {
  OpCase c = base_case(p, "backward_weight", std::max<int64_t>(1, p.n * p.p() * p.q()));
  c.inputs = {{p.output_shape()}, {p.input_shape()}};
  c.run = [p](const std::vector<Tensor>& in) {
    return std::vector<Tensor>{
        kernels::conv2d_backward_weight(in[0], in[1], options_of(p), p.filter_shape())};
  };
  return c;
}

void add_all_passes(CaseList& list, const Conv2dProblem& p) {
  list.cases.push_back(forward_case(p));
  list.cases.push_back(backward_input_case(p));
  list.cases.push_back(backward_weight_case(p));
}

// Prologue, bias, statistics, residual and ReLU together; the output is a slice of a concatenation.
OpCase fused_case(const Conv2dProblem& p, bool prologue, bool sums, bool residual, bool relu) {
  OpCase c = base_case(p, "forward", p.r * p.s * p.c / p.groups + 2);
  c.makes_factors = prologue;
  c.descriptor += fmt::format(" fused{}{}{}{}", prologue ? " prologue" : "", sums ? " sums" : "",
                              residual ? " residual" : "", relu ? " relu" : "");
  c.inputs = {{p.input_shape()},
              {p.filter_shape()},
              {.shape = {p.k}, .parameter = true},
              {.shape = {p.c}, .parameter = true},
              {.shape = {p.c}, .parameter = true},
              {p.output_shape()}};
  c.run = [=](const std::vector<Tensor>& in) {
    Conv2dFusion f;
    f.bias = in[2];
    if (prologue) {
      f.in_scale = in[3];
      f.in_bias = in[4];
      f.in_relu = true;
    }
    if (residual) f.residual = in[5];
    f.relu = relu;
    if (sums) f.channel_sums = Tensor::empty({2, p.k}, DType::f64, in[0].device());
    const Shape y = p.output_shape();
    const int64_t widths[] = {5, p.k, 3};
    const ConcatBuffer buffer({y[0], y[1], y[2]}, widths, in[0].dtype(), in[0].device());
    buffer.whole().fill(7);
    const Tensor out = kernels::conv2d(in[0], in[1], options_of(p), f, buffer.slice(1));
    // The neighbours are part of the result: they must still hold 7.
    std::vector<Tensor> result{out.clone(), buffer.slice(0).clone(), buffer.slice(2).clone()};
    if (sums) result.push_back(f.channel_sums);
    return result;
  };
  return c;
}

// The form that transposed convolution uses: bias and a strided output.
OpCase transposed_case(const Conv2dProblem& p) {
  OpCase c = base_case(p, "backward_input", p.r * p.s * p.k / p.groups + 1);
  c.descriptor += " bias, strided output";
  c.inputs = {{p.output_shape()}, {p.filter_shape()}, {.shape = {p.c}, .parameter = true}};
  c.run = [p](const std::vector<Tensor>& in) {
    const int64_t widths[] = {2, p.c, 3};
    const ConcatBuffer buffer({p.n, p.h, p.w}, widths, in[0].dtype(), in[0].device());
    buffer.whole().fill(7);
    const Tensor out =
        kernels::conv2d_backward_input(in[0], in[1], options_of(p), p.input_shape(), buffer.slice(1), in[2]);
    return std::vector<Tensor>{out.clone(), buffer.slice(0).clone(), buffer.slice(2).clone()};
  };
  return c;
}

// Vector accesses are possible to the input but not to the filter, a slice that starts anywhere.
OpCase sliced_filter_case(const Conv2dProblem& p, bool forward) {
  OpCase c = forward ? forward_case(p) : backward_input_case(p);
  c.descriptor += " filter is a slice";
  c.run = [=](const std::vector<Tensor>& in) {
    const int64_t widths[] = {3, p.c / p.groups, 2};
    const ConcatBuffer buffer({p.k, p.r, p.s}, widths, in[0].dtype(), in[0].device());
    buffer.slice(1).copy_from(in[1]);
    return std::vector<Tensor>{
        forward ? kernels::conv2d(in[0], buffer.slice(1), options_of(p))
                : kernels::conv2d_backward_input(in[0], buffer.slice(1), options_of(p), p.input_shape())};
  };
  return c;
}

OpCase bias_case(const Shape& dy) {
  OpCase c;
  c.op = "conv2d";
  c.entry = "backward_bias";
  c.descriptor = dy.str();
  c.inputs = {{dy}};
  c.run = [](const std::vector<Tensor>& in) {
    return std::vector<Tensor>{kernels::conv2d_backward_bias(in[0])};
  };
  c.accumulation = dy.numel() / dy[-1];
  c.bytes = 4.0 * static_cast<double>(dy.numel());
  return c;
}

struct Geometry {
  int64_t n, h, w, c, k, r, s, stride = 1, pad = 0, dilation = 1, groups = 1;
};

Conv2dProblem problem(const Geometry& g) {
  return {g.n,      g.h,   g.w,   g.c,        g.k,        g.r,      g.s,       g.stride,
          g.stride, g.pad, g.pad, g.dilation, g.dilation, g.groups, DType::f32};
}

// One line per property of the problem that an implementation may trip over.
const Geometry geometries[] = {
    {1, 1, 1, 1, 1, 1, 1},                   // as small as can be
    {1, 1, 1, 5, 7, 3, 3, 1, 1},             // one pixel, mostly padding
    {0, 5, 5, 3, 4, 3, 3, 1, 1},             // no images
    {2, 9, 11, 1, 16, 3, 3, 1, 1},           // one channel
    {2, 11, 9, 3, 16, 3, 3, 1, 1},           // RGB
    {1, 30, 29, 3, 64, 7, 7, 2, 3},          // ResNet stem
    {1, 13, 17, 5, 11, 3, 3, 1, 1},          //
    {2, 30, 37, 3, 40, 3, 3, 1, 1},          // first layer: several splits of its filter gradient
    {1, 8, 9, 3, 150, 3, 3, 2, 1},           // first layer: several blocks of output channels
    {1, 7, 8, 3, 176, 3, 3, 1, 1},           // first layer: blocks that end within a vector
    {1, 12, 31, 16, 16, 3, 3, 1, 1},         // U-Net of base 16
    {2, 16, 16, 32, 64, 3, 3, 1, 1},         //
    {1, 7, 33, 19, 21, 3, 3, 1, 1},          // odd channels
    {1, 14, 15, 64, 40, 3, 3, 1, 1},         //
    {1, 8, 9, 40, 150, 3, 3, 1, 1},          // ADE20K head
    {1, 10, 64, 16, 2, 1, 1},                // 1x1 to two classes
    {2, 9, 13, 64, 1, 1, 1},                 // 1x1 to one
    {3, 7, 9, 40, 64, 1, 1},                 // 1x1 across rows and images
    {1, 15, 14, 32, 48, 1, 1, 2},            // 1x1 strided
    {1, 9, 9, 5, 7, 1, 1, 1, 2},             // 1x1 with padding
    {1, 15, 17, 16, 32, 3, 3, 2, 1},         // strided
    {1, 16, 18, 24, 33, 3, 3, 2, 1},         // strided, even size: the last row is not used
    {1, 13, 12, 8, 9, 3, 3, 3, 1},           //
    {2, 12, 14, 20, 16, 2, 2, 2},            // up-convolution of U-Net
    {1, 11, 13, 6, 18, 2, 2, 1, 1},          // even filter
    {1, 12, 10, 17, 8, 4, 4, 2, 1},          // FCN deconvolution 4x4
    {1, 19, 21, 16, 24, 3, 3, 1, 0},         // valid
    {1, 20, 23, 16, 24, 3, 3, 1, 2, 2},      // atrous
    {1, 21, 19, 8, 16, 3, 3, 1, 6, 6},       //
    {1, 17, 15, 32, 16, 3, 3, 1, 12, 12},    // rate beyond the image: most taps are padding
    {1, 18, 17, 4, 5, 3, 3, 2, 2, 2},        // atrous and strided
    {1, 9, 40, 8, 20, 5, 5, 1, 2},           //
    {1, 6, 7, 3, 6, 3, 3, 1, 4},             // padding beyond the filter
    {1, 5, 6, 4, 4, 5, 3, 4, 3, 1},          // stride beyond the filter width
    {2, 10, 9, 12, 24, 3, 3, 1, 1, 1, 3},    // groups
    {1, 11, 8, 64, 64, 3, 3, 2, 1, 1, 2},    //
    {2, 11, 17, 32, 32, 3, 3, 1, 1, 1, 8},   // groups of 4: two vectors of them
    {1, 9, 19, 80, 80, 3, 3, 2, 1, 1, 20},   // the same with stride, in several tasks of blocks
    {2, 7, 8, 44, 44, 3, 3, 1, 1, 1, 11},    // groups of 4, the last vector of which is not full
    {1, 8, 31, 48, 48, 3, 3, 1, 2, 2, 6},    // groups of 8, atrous
    {1, 15, 16, 32, 32, 3, 3, 1, 1, 1, 2},   // groups of 16
    {1, 12, 13, 24, 15, 5, 5, 1, 2, 1, 3},   // groups of 8 to 5: joined taps of 3 and of 2
    {1, 12, 20, 15, 36, 4, 4, 3, 2, 1, 3},   // groups of 5 to 12; a stride of 3
    {1, 9, 7, 12, 12, 1, 1, 2, 0, 1, 6},     // groups of 2: phases of the gradient without a tap
    {0, 5, 5, 8, 8, 3, 3, 1, 1, 1, 2},       // groups, no images
    {3, 5, 6, 160, 160, 3, 3, 1, 1, 1, 40},  // groups: several images and tasks of blocks
    {1, 70, 9, 8, 8, 3, 3, 1, 1, 1, 2},      // groups: several tasks of rows
    {1, 5, 7, 8, 1024, 1, 1},                // many channels, few pixels
    {1, 20, 21, 3, 5, 9, 9, 8, 4},           // many taps, of which a phase of the gradient has few
    {1, 6, 300, 16, 16, 3, 3, 1, 1},         // long rows
    {2, 9, 15, 272, 130, 1, 1},          // 1x1 of many channels: filter gradient from copies, two segments
    {2, 11, 10, 272, 70, 1, 1, 2},       // the same with stride
    {1, 17, 33, 48, 72, 3, 3, 1, 6, 6},  // a copied output gradient, of which rates leave parts
    {1, 7, 6, 272, 33, 2, 2, 1},         // a copied input of a valid filter
    {2, 4, 5, 264, 264, 3, 3, 1, 1},     // more weights than pixels: tasks by panels, sums in two pieces
    {1, 7, 6, 264, 260, 3, 3, 2, 1},     // the same with phases
    {2, 8, 8, 32, 256, 3, 3, 4, 1},      // the same from copied rows, the last of which no output reads
    {2, 9, 14, 16, 48, 3, 3, 1, 0},      // Winograd: valid, partial tiles, an odd number of channel blocks
    {1, 11, 10, 48, 32, 3, 3, 1, 2},     // Winograd: full padding
    {1, 6, 7, 16, 32, 3, 3, 1, 4},       // Winograd: padding beyond the filter
    {0, 5, 5, 16, 16, 3, 3, 1, 1},       // Winograd: no images
    {1, 1, 1, 16, 32, 3, 3, 1, 1},       // Winograd: one pixel
    {3, 25, 31, 16, 16, 3, 3, 1, 1},     // Winograd: several tasks
};

void add_operator_cases(CaseList& list) {
  for (const Geometry& g : geometries) add_all_passes(list, problem(g));
  // Winograd: tasks of several parts; blocks of channels that are not equal, with one task each.
  list.cases.push_back(backward_weight_case(problem({1, 127, 130, 80, 16, 3, 3, 1, 1})));
  list.cases.push_back(backward_weight_case(problem({1, 13, 10, 80, 144, 3, 3, 1, 1})));
  // Rows and columns differ in everything.
  add_all_passes(list, {2, 13, 18, 8, 12, 3, 5, 2, 1, 1, 4, 1, 2, 1, DType::f32});
  add_all_passes(list, {1, 40, 7, 6, 17, 1, 7, 1, 2, 0, 3, 1, 1, 1, DType::f32});
  const Conv2dProblem dense = problem({2, 9, 15, 16, 24, 3, 3, 1, 1});
  const Conv2dProblem pointwise = problem({2, 9, 15, 19, 40, 1, 1});
  const Conv2dProblem atrous = problem({1, 14, 16, 8, 21, 3, 3, 2, 2, 2});
  const Conv2dProblem grouped = problem({1, 8, 9, 12, 20, 3, 3, 1, 1, 1, 2});
  const Conv2dProblem in_vectors = problem({2, 9, 8, 72, 72, 3, 3, 1, 1, 1, 18});
  const Conv2dProblem winograd = problem({2, 9, 15, 32, 48, 3, 3, 1, 1});
  const Conv2dProblem winograd_atrous = problem({2, 13, 22, 16, 48, 3, 3, 1, 3, 3});
  for (const Conv2dProblem& p : {dense, pointwise, atrous, grouped, in_vectors, winograd, winograd_atrous}) {
    list.cases.push_back(fused_case(p, true, true, true, true));
    list.cases.push_back(fused_case(p, false, true, false, false));
    list.cases.push_back(fused_case(p, false, false, true, true));
    list.cases.push_back(fused_case(p, true, false, false, true));
    list.cases.push_back(transposed_case(p));
  }
  // Depthwise filters with more than a bias fused: the kernels for any groups.
  list.cases.push_back(fused_case(problem({1, 6, 7, 12, 12, 3, 3, 1, 1, 1, 12}), true, true, true, true));
  list.cases.push_back(transposed_case(problem({1, 6, 7, 12, 12, 3, 3, 2, 1, 1, 12})));
  // Winograd panel by panel; the tiles, one per pixel at this rate, in two groups.
  const Conv2dProblem panels = problem({1, 16, 17, 16, 1040, 3, 3, 1, 16, 16});
  list.cases.push_back(fused_case(panels, true, true, true, true));
  list.cases.push_back(transposed_case(problem({1, 9, 13, 1040, 16, 3, 3, 1, 1})));
  // More tiles than are transformed at a time, and so few panels that groups of tiles are tasks of their own.
  list.cases.push_back(fused_case(problem({3, 12, 13, 1040, 16, 3, 3, 1, 11, 11}), true, true, true, true));
  list.cases.push_back(transposed_case(problem({2, 12, 14, 20, 16, 2, 2, 2})));
  list.cases.push_back(
      transposed_case(problem({1, 12, 12, 5, 7, 1, 1, 2})));  // three of four phases hold only the bias
  list.cases.push_back(transposed_case(problem({1, 2, 3, 5, 7, 1, 1, 7, 1})));  // all of them do
  list.cases.push_back(sliced_filter_case(problem({1, 9, 10, 16, 24, 3, 3, 1, 1}), true));
  list.cases.push_back(sliced_filter_case(problem({1, 9, 10, 16, 24, 3, 3, 2, 1}), false));
  list.cases.push_back(bias_case({2, 70, 33, 19}));
  list.cases.push_back(bias_case({0, 4, 4, 3}));
  list.cases.push_back(bias_case({1, 3, 3, 70}));
  list.cases.push_back(bias_case({3, 300, 301, 1}));  // sums of sums of sums
  // More tiles than one round of adding up their statistics takes; no images.
  list.cases.push_back(fused_case(problem({1, 96, 90, 4, 5, 1, 1}), true, true, true, true));
  list.cases.push_back(fused_case(problem({0, 6, 5, 8, 12, 3, 3, 1, 1}), true, true, true, true));
  add_all_passes(list, problem({1, 5, 5, 16, 8, 2, 2, 7, 1}));        // one output; phases beyond the image
  add_all_passes(list, problem({1, 14, 13, 12, 72, 3, 3, 4, 3, 2}));  // stride and rate with a common divisor
}

void add_gradient_cases(CaseList& list) {
  for (const Conv2dProblem& p :
       {problem({2, 5, 6, 3, 4, 3, 3, 1, 1}), problem({1, 7, 6, 2, 3, 3, 3, 2, 1}),
        problem({1, 8, 7, 2, 3, 3, 3, 1, 2, 2}), problem({1, 5, 4, 4, 6, 3, 3, 1, 1, 1, 2}),
        problem({1, 4, 6, 5, 3, 1, 1})}) {
    GradientCase g;
    g.op = "conv2d";
    g.descriptor = p.str();
    g.inputs = {{p.input_shape()}, {p.filter_shape()}, {{p.k}}};
    g.function = [p](const std::vector<Variable>& in) {
      return layers::conv2d(in[0], in[1], in[2], options_of(p));
    };
    list.gradients.push_back(g);
  }
}

// A call that would need more than 2^31 elements, of which only the gradient's (small, wrong) shape exists.
void backward_into_huge_input() {
  kernels::conv2d_backward_input(Tensor::zeros({1, 8, 8, 4}), Tensor::zeros({4, 3, 3, 64}), {{1, 1}, {1, 1}},
                                 {1, 65536, 65536, 64});
}

void add_bad_inputs(CaseList& list) {
  auto bad = [&list](const char* what, std::function<void()> call, const char* text) {
    list.bad_inputs.push_back({"conv2d", what, std::move(call), text});
  };
  const auto z = [](const Shape& s, DType t = DType::f32) { return Tensor::zeros(s, t); };
  bad(
      "channels differ",
      [=] {
        kernels::conv2d(z({1, 8, 8, 3}), z({4, 3, 3, 5}));
      },
      "Got input [1, 8, 8, 3], filter [4, 3, 3, 5] with 1 groups. Make the filter's last axis 3");
  bad(
      "groups do not divide",
      [=] {
        kernels::conv2d(z({1, 8, 8, 6}), z({4, 3, 3, 2}), {{1, 1}, {0, 0}, {1, 1}, 3});
      },
      "groups must divide C and K");
  bad(
      "filter too large",
      [=] {
        kernels::conv2d(z({1, 4, 9, 2}), z({3, 5, 5, 2}));
      },
      "must fit into the padded input");
  bad(
      "filter too large by dilation",
      [=] {
        kernels::conv2d(z({1, 9, 9, 2}), z({3, 3, 3, 2}), {{1, 1}, {0, 0}, {5, 5}});
      },
      "Got input [1, 9, 9, 2], filter [3, 3, 3, 2]");
  bad(
      "dilation counted from zero",
      [=] {
        kernels::conv2d(z({1, 9, 9, 2}), z({3, 3, 3, 2}), {{1, 1}, {0, 0}, {0, 0}});
      },
      "Dilation 1 is the dense filter");
  bad(
      "three axes",
      [=] {
        kernels::conv2d(z({9, 9, 2}), z({3, 3, 3, 2}));
      },
      "N,H,W,C");
  bad(
      "types differ",
      [=] {
        kernels::conv2d(z({1, 9, 9, 2}), z({3, 3, 3, 2}, DType::f64));
      },
      "one type");
  bad(
      "integers",
      [=] {
        kernels::conv2d(z({1, 9, 9, 2}, DType::i32), z({3, 3, 3, 2}, DType::i32));
      },
      "f32, f64 or bf16");
  bad(
      "bf16 on the CPU",
      [=] {
        kernels::conv2d(z({1, 9, 9, 2}, DType::bf16), z({3, 3, 3, 2}, DType::bf16));
      },
      "ref: f32 and f64 only");
  bad(
      "filter on another device",
      [=] {
        kernels::conv2d(z({1, 9, 9, 2}), Tensor::zeros({3, 3, 3, 2}, DType::f32, Device::sim));
      },
      "one device");
  bad(
      "bias too long",
      [=] {
        Conv2dFusion f;
        f.bias = z({4});
        kernels::conv2d(z({1, 9, 9, 2}), z({3, 3, 3, 2}), {}, f);
      },
      "bias must be f32 [3]");
  bad(
      "wrong output shape",
      [=] {
        kernels::conv2d(z({1, 9, 9, 2}), z({3, 3, 3, 2}), {}, {}, z({1, 9, 9, 3}));
      },
      "out must be f32 [1, 7, 7, 3]. Got f32 [1, 9, 9, 3]");
  bad(
      "output over input",
      [=] {
        const Tensor x = z({1, 9, 9, 3});
        kernels::conv2d(x, z({3, 1, 1, 3}), {}, {}, x);
      },
      "must not overlap");
  bad(
      "images without pixels",
      [=] {
        kernels::conv2d_backward_input(z({1, 2, 2, 3}), z({3, 1, 1, 2}), {{1, 1}, {1, 1}}, {1, 0, 0, 2});
      },
      "at least one pixel. Got input [1, 0, 0, 2]");
  bad(
      "gradient of another shape",
      [=] {
        kernels::conv2d_backward_input(z({1, 9, 9, 3}), z({3, 3, 3, 2}), {}, {1, 9, 9, 2});
      },
      "dy must be f32 [1, 7, 7, 3]");
  bad("more than 2^31 elements", backward_into_huge_input, "dy must be f32 [1, 65536, 65536, 4]");
  bad(
      "weight gradient of another shape",
      [=] {
        kernels::conv2d_backward_weight(z({1, 7, 7, 4}), z({1, 9, 9, 2}), {}, {3, 3, 3, 2});
      },
      "dy must be f32 [1, 7, 7, 3]");
}

// Convolutions of whole networks at real sizes, for `atrous bench kernels`.
void add_benchmarks(CaseList& list) {
  auto add = [&list](const std::string& network, const Geometry& g, bool input_gradient = true) {
    const size_t first = list.cases.size();
    list.cases.push_back(forward_case(problem(g)));
    if (input_gradient) list.cases.push_back(backward_input_case(problem(g)));
    list.cases.push_back(backward_weight_case(problem(g)));
    for (size_t i = first; i < list.cases.size(); ++i) {
      list.cases[i].benchmark = true;
      list.cases[i].network = network;
    }
  };
  // U-Net, base width 16, CamVid crops of 144x192, batch 8; base width 32, 256x256.
  struct Net {
    const char* name;
    int64_t n, h, w, base, classes;
  };
  for (const Net& net : {Net{"unet16_camvid", 8, 144, 192, 16, 11}, Net{"unet32_256", 1, 256, 256, 32, 21}}) {
    add(net.name, {net.n, net.h, net.w, 3, net.base, 3, 3, 1, 1}, false);
    for (int level = 0; level < 5; ++level) {
      const int64_t h = net.h >> level, w = net.w >> level, c = net.base << level;
      if (level > 0) add(net.name, {net.n, h, w, c / 2, c, 3, 3, 1, 1});
      add(net.name, {net.n, h, w, c, c, 3, 3, 1, 1});
      if (level < 4) {
        add(net.name, {net.n, h, w, 2 * c, c, 3, 3, 1, 1});
        add(net.name, {net.n, h, w, c, 2 * c, 2, 2, 2});  // its backward_input is the up-convolution
      }
    }
    add(net.name, {net.n, net.h, net.w, net.base, net.classes, 1, 1});
  }
  // FCN-8s on ResNet-18 at 256x256.
  const char* fcn = "fcn8s_r18";
  add(fcn, {1, 256, 256, 3, 64, 7, 7, 2, 3}, false);
  add(fcn, {1, 64, 64, 64, 64, 3, 3, 1, 1});
  for (int64_t c : {128, 256, 512}) {
    const int64_t size = 64 * 128 / c;  // input of the stage
    add(fcn, {1, size, size, c / 2, c, 3, 3, 2, 1});
    add(fcn, {1, size, size, c / 2, c, 1, 1, 2});
    add(fcn, {1, size / 2, size / 2, c, c, 3, 3, 1, 1});
    add(fcn, {1, size / 2, size / 2, c, 21, 1, 1});  // score
  }
  add(fcn, {1, 16, 16, 21, 21, 4, 4, 2, 1});
  add(fcn, {1, 256, 256, 21, 21, 16, 16, 8, 4});
  // FCN-8s on VGG-16 at 360x480, whose first layer pads by 100: the widest layer of each stage and fc6, fc7.
  const char* vgg = "fcn8s_vgg16";
  add(vgg, {1, 360, 480, 3, 64, 3, 3, 1, 100}, false);
  add(vgg, {1, 279, 339, 128, 128, 3, 3, 1, 1});
  add(vgg, {1, 140, 170, 256, 256, 3, 3, 1, 1});
  add(vgg, {1, 70, 85, 512, 512, 3, 3, 1, 1});
  add(vgg, {1, 35, 43, 512, 512, 3, 3, 1, 1});
  add(vgg, {1, 18, 22, 512, 4096, 7, 7});
  add(vgg, {1, 12, 16, 4096, 4096, 1, 1});
  // DeepLab v3 on ResNet-50 at 360x480, output stride 8: one bottleneck per stage and its strided entry, the
  // atrous layers, ASPP.
  const char* deeplab = "deeplabv3_r50";
  add(deeplab, {1, 360, 480, 3, 64, 7, 7, 2, 3}, false);
  add(deeplab, {1, 90, 120, 256, 64, 1, 1});
  add(deeplab, {1, 90, 120, 64, 256, 1, 1});
  add(deeplab, {1, 90, 120, 128, 128, 3, 3, 2, 1});
  add(deeplab, {1, 90, 120, 256, 512, 1, 1, 2});
  add(deeplab, {1, 45, 60, 128, 512, 1, 1});
  add(deeplab, {1, 45, 60, 1024, 256, 1, 1});
  add(deeplab, {1, 45, 60, 256, 1024, 1, 1});
  add(deeplab, {1, 45, 60, 2048, 512, 1, 1});
  add(deeplab, {1, 45, 60, 512, 2048, 1, 1});
  add(deeplab, {1, 45, 60, 256, 256, 3, 3, 1, 2, 2});
  add(deeplab, {1, 45, 60, 512, 512, 3, 3, 1, 2, 2});
  add(deeplab, {1, 45, 60, 512, 512, 3, 3, 1, 4, 4});
  add(deeplab, {1, 45, 60, 2048, 256, 3, 3, 1, 12, 12});
  add(deeplab, {1, 45, 60, 2048, 256, 3, 3, 1, 24, 24});
  // The grouped layers of ResNeXt-50 32x4d and ResNeXt-101 32x8d at 224x224, and of AlexNet's two groups.
  for (const int64_t batch : {1, 8}) {
    const std::string images = fmt::format("_n{}", batch);
    for (const int64_t width : {4, 8}) {
      const std::string resnext = (width == 4 ? "resnext50" : "resnext101") + images;
      for (int level = 0; level < 4; ++level) {
        const int64_t c = 32 * width << level, size = 56 >> level;
        if (level > 0) add(resnext, {batch, 2 * size, 2 * size, c, c, 3, 3, 2, 1, 1, 32});
        add(resnext, {batch, size, size, c, c, 3, 3, 1, 1, 1, 32});
      }
    }
    const std::string alexnet = "alexnet_two_groups" + images;
    add(alexnet, {batch, 27, 27, 96, 256, 5, 5, 1, 2, 1, 2});
    add(alexnet, {batch, 13, 13, 384, 384, 3, 3, 1, 1, 1, 2});
    add(alexnet, {batch, 13, 13, 384, 256, 3, 3, 1, 1, 1, 2});
  }
  // Where Winograd's transform of the filter weighs much: many channels on small maps.
  const char* end = "end_of_encoder";
  add(end, {1, 15, 20, 512, 512, 3, 3, 1, 1});
  add(end, {1, 30, 40, 256, 256, 3, 3, 1, 1});
}

}  // namespace

void add_conv2d_cases(CaseList& list) {
  add_operator_cases(list);
  add_depthwise_cases(list);
  add_gradient_cases(list);
  add_bad_inputs(list);
  add_benchmarks(list);
}

}  // namespace atrous::cases
