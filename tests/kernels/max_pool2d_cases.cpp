#include "kernels/max_pool2d/max_pool2d.h"

#include "layers/max_pool2d.h"
#include "tests/kernels/op_case.h"

namespace atrous::cases {
namespace {

using kernels::Pool2dOptions;

struct Sample {
  Shape input;
  Pool2dOptions options;
  const char* network = "";  // set for benchmark cases
};

// Odd sizes, a single pixel, windows over padding, gaps between windows, overlap, a size-changing last
// window.
const Sample samples[] = {
    {{2, 8, 6, 16}, Pool2dOptions::square(2, 2)},
    {{1, 7, 5, 3}, Pool2dOptions::square(2, 2)},
    {{1, 7, 5, 21}, Pool2dOptions::square(2, 2, 0, true)},
    {{2, 9, 11, 5}, Pool2dOptions::square(3, 2, 1)},
    {{1, 10, 8, 17}, Pool2dOptions::square(3, 2, 1, true)},
    {{1, 1, 1, 4}, Pool2dOptions::square(2, 2, 1)},
    {{1, 1, 1, 1}, Pool2dOptions::square(1, 1)},
    {{1, 8, 9, 7}, Pool2dOptions::square(2, 3)},
    {{1, 6, 7, 2}, Pool2dOptions::square(3, 1, 1)},
    {{1, 9, 8, 6}, {2, 3, 1, 2, 1, 1, 3, 2, false}},
    {{1, 9, 8, 6}, {3, 2, 2, 3, 1, 0, 2, 3, true}},
};
const Sample benchmarks[] = {
    {{8, 144, 192, 16}, Pool2dOptions::square(2, 2), "unet16_camvid"},
    {{8, 72, 96, 32}, Pool2dOptions::square(2, 2), "unet16_camvid"},
    {{4, 256, 256, 32}, Pool2dOptions::square(2, 2), "unet32_256"},
    {{4, 32, 32, 256}, Pool2dOptions::square(2, 2), "unet32_256"},
    {{4, 256, 256, 64}, Pool2dOptions::square(3, 2, 1), "resnet_stem_512"},
};

OpCase base_case(const char* entry, const Sample& s, const kernels::Pool2dProblem& problem) {
  OpCase c;
  c.op = "max_pool2d";
  c.entry = entry;
  c.descriptor = problem.str();
  c.inputs = {{s.input, Fill::distinct}};
  c.benchmark = *s.network != 0;
  c.network = s.network;
  return c;
}

void add_pool(CaseList& list, const Sample& s) {
  const Pool2dOptions o = s.options;
  const auto problem = kernels::pool2d_problem("case", s.input, DType::f32, o);
  const auto in = static_cast<double>(s.input.numel()),
             out = static_cast<double>(problem.output_shape().numel());

  OpCase forward = base_case("forward", s, problem);
  forward.bytes = 4 * (in + out);
  forward.run = [o, problem](const std::vector<Tensor>& t) -> std::vector<Tensor> {
    const Tensor y = Tensor::empty(problem.output_shape(), t[0].dtype(), t[0].device());
    kernels::max_pool2d_forward(t[0], o, y);
    return {y};
  };
  list.cases.push_back(forward);

  OpCase indexed = base_case("forward", s, problem);
  indexed.descriptor += " indices";
  indexed.bytes = 4 * (in + 2 * out);
  indexed.run = [o, problem](const std::vector<Tensor>& t) -> std::vector<Tensor> {
    const Tensor y = Tensor::empty(problem.output_shape(), t[0].dtype(), t[0].device());
    const Tensor indices = Tensor::empty(problem.output_shape(), DType::i32, t[0].device());
    kernels::max_pool2d_forward(t[0], o, y, indices);
    return {y, indices};
  };
  list.cases.push_back(indexed);

  OpCase backward = base_case("backward", s, problem);
  backward.inputs = {{problem.output_shape(), Fill::real}};
  // Indices of fixed pictures: they are an argument here, not what is tested.
  const Tensor x = make_input({s.input, Fill::distinct}, DType::f32, 0, false, 3);
  const Tensor indices = Tensor::empty(problem.output_shape(), DType::i32);
  if (!backward.benchmark)
    kernels::max_pool2d_forward(x, o, Tensor::empty(problem.output_shape()), indices);
  else
    indices.fill(0);
  backward.bytes = 4 * (in + 2 * out);
  backward.accumulation = o.kernel_h * o.kernel_w;
  backward.run = [o, indices, shape = s.input](const std::vector<Tensor>& t) -> std::vector<Tensor> {
    const Tensor dx = Tensor::empty(shape, t[0].dtype(), t[0].device());
    kernels::max_pool2d_backward(t[0], indices.to(t[0].device()), o, dx);
    return {dx};
  };
  list.cases.push_back(backward);
}

void add_unpool(CaseList& list, const Sample& s) {
  const auto pool = kernels::pool2d_problem("case", s.input, DType::f32, s.options);
  const kernels::MaxUnpool2dProblem problem{pool.output_shape(), s.input, DType::f32};
  const Tensor x = make_input({s.input, Fill::distinct}, DType::f32, 0, false, 3);
  const Tensor indices = Tensor::empty(problem.pooled, DType::i32);
  kernels::max_pool2d_forward(x, s.options, Tensor::empty(problem.pooled), indices);

  OpCase forward = base_case("unpool", s, pool);
  forward.inputs = {{problem.pooled, Fill::real}};
  forward.bytes = 4.0 * static_cast<double>(2 * problem.pooled.numel() + problem.full.numel());
  forward.run = [indices, problem](const std::vector<Tensor>& t) -> std::vector<Tensor> {
    const Tensor y = Tensor::empty(problem.full, t[0].dtype(), t[0].device());
    kernels::max_unpool2d_forward(t[0], indices.to(t[0].device()), y);
    return {y};
  };
  list.cases.push_back(forward);

  OpCase backward = forward;
  backward.entry = "unpool_backward";
  backward.inputs = {{problem.full, Fill::real}};
  backward.run = [indices, problem](const std::vector<Tensor>& t) -> std::vector<Tensor> {
    const Tensor dx = Tensor::empty(problem.pooled, t[0].dtype(), t[0].device());
    kernels::max_unpool2d_backward(t[0], indices.to(t[0].device()), dx);
    return {dx};
  };
  list.cases.push_back(backward);
}

void add_gradients(CaseList& list) {
  for (const Pool2dOptions& o : {Pool2dOptions::square(2, 2), Pool2dOptions::square(3, 2, 1, true),
                                 Pool2dOptions{2, 3, 1, 2, 1, 1, 3, 2, false}}) {
    const Shape shape{2, 7, 6, 3};
    list.gradients.push_back({"max_pool2d",
                              kernels::pool2d_problem("case", shape, DType::f64, o).str(),
                              {{shape, Fill::distinct}},
                              [o](const std::vector<Variable>& v) { return layers::max_pool2d(v[0], o); }});
  }
  list.gradients.push_back({"max_pool2d",
                            "unpool 2x2 to an odd size",
                            {{{2, 7, 5, 3}, Fill::distinct}},
                            [](const std::vector<Variable>& v) {
                              const auto pooled =
                                  layers::max_pool2d_with_indices(v[0], Pool2dOptions::square(2, 2));
                              return layers::max_unpool2d(pooled.values, pooled.indices, 7, 5);
                            }});
}

void add_bad_inputs(CaseList& list) {
  auto bad = [&list](const char* what, std::function<void()> call, const char* text) {
    list.bad_inputs.push_back({"max_pool2d", what, std::move(call), text});
  };
  auto pool = [](const Shape& shape, const Pool2dOptions& o, DType dtype = DType::f32) {
    return [=] { layers::max_pool2d(Variable(Tensor::zeros(shape, dtype)), o); };
  };
  bad("rank 3", pool({4, 4, 3}, Pool2dOptions::square(2, 2)),
      "must be a non-empty [N, H, W, C]. Got [4, 4, 3]");
  bad("integers", pool({1, 4, 4, 3}, Pool2dOptions::square(2, 2), DType::i32),
      "must be f32, f64 or bf16. Got i32");
  bad("window too large", pool({1, 1, 4, 3}, Pool2dOptions::square(2, 2)),
      "must fit the padded input. Got height 1");
  bad("stride 0", pool({1, 4, 4, 3}, Pool2dOptions::square(2, 0)), "stride and dilation must be at least 1");
  bad("padding over half", pool({1, 4, 4, 3}, Pool2dOptions::square(3, 2, 2)),
      "half of the kernel. Got padding 2x2");
  bad(
      "output of another shape",
      [] {
        kernels::max_pool2d_forward(Tensor::zeros({1, 4, 4, 3}), Pool2dOptions::square(2, 2),
                                    Tensor::zeros({1, 2, 1, 3}));
      },
      "output must be f32 [1, 2, 2, 3]. Got f32 [1, 2, 1, 3]");
  bad(
      "index outside the image",
      [] {
        layers::max_unpool2d(Variable(Tensor::zeros({1, 1, 1, 2})),
                             Tensor::from<int32_t>({1, 1, 1, 2}, {0, 4}), 2, 2);
      },
      "output of 4 pixels. Got 4 at pixel 0, channel 1");
}

}  // namespace

void add_max_pool2d_cases(CaseList& list) {
  for (const Sample& s : samples) add_pool(list, s);
  for (const Sample& s : benchmarks) add_pool(list, s);
  add_unpool(list, samples[0]);
  add_unpool(list, samples[1]);
  add_unpool(list, samples[2]);
  add_unpool(list, samples[3]);
  add_gradients(list);
  add_bad_inputs(list);
}

}  // namespace atrous::cases
