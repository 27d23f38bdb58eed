#include "kernels/batch_norm/batch_norm.h"

#include <algorithm>

#include "layers/batch_norm.h"
#include "tests/kernels/op_case.h"

namespace atrous::cases {
namespace {

using kernels::Activation;
using kernels::BatchNormProblem;

// One value per channel.
Input vector_of(const Shape& shape, Fill fill = Fill::real) {
  return {.shape = {shape[-1]}, .fill = fill, .parameter = true};
}

// An output whose pixel stride exceeds its channels.
Tensor slice_like(const Tensor& t) {
  std::vector<int64_t> pixel_dims(t.shape().begin(), t.shape().end() - 1);
  const std::vector<int64_t> channels{2, t.channels(), 3};
  return ConcatBuffer(Shape(std::span<const int64_t>(pixel_dims)), channels, t.dtype(), t.device()).slice(1);
}

OpCase statistics_case(const Shape& shape, Fill fill = Fill::real) {
  OpCase c{.op = "batch_norm",
           .entry = "statistics",
           .descriptor = BatchNormProblem{shape}.str() + (fill == Fill::offset ? " mean 10000" : ""),
           .inputs = {{shape, fill}}};
  c.run = [](const std::vector<Tensor>& in) {
    const Tensor mean = Tensor::empty({in[0].channels()}, parameter_dtype(in[0].dtype()), in[0].device()),
                 variance = Tensor::empty_like(mean);
    kernels::batch_norm_statistics(in[0], mean, variance);
    return std::vector<Tensor>{mean, variance};
  };
  c.exact = false;
  c.accumulation = shape.numel() / shape[-1];
  c.flops = 4.0 * static_cast<double>(shape.numel());
  c.bytes = 4.0 * static_cast<double>(shape.numel());
  return c;
}

// The [C] vectors between the passes.
std::vector<OpCase> vector_cases(const Shape& parameter) {
  const Input positive{.shape = parameter, .fill = Fill::positive, .parameter = true};
  const Input sums{.shape = {2, parameter[0]}, .fill = Fill::positive, .parameter = true};
  OpCase c{.op = "batch_norm", .descriptor = BatchNormProblem{parameter}.str(), .exact = false};
  c.bytes = 8.0 * static_cast<double>(parameter[0]);

  OpCase from_sums = c, update = c, invstd = c;
  from_sums.entry = "statistics_from_sums";
  from_sums.inputs = {sums};
  from_sums.run = [=](const std::vector<Tensor>& in) {
    const Tensor mean = Tensor::empty(parameter, in[0].dtype(), in[0].device()),
                 variance = Tensor::empty_like(mean);
    kernels::batch_norm_statistics_from_sums(in[0], 8, mean, variance);
    return std::vector<Tensor>{mean, variance};
  };
  update.entry = "update_running";
  update.inputs = {positive, positive, positive, positive};
  update.run = [](const std::vector<Tensor>& in) {
    const std::vector<Tensor> running{in[2].clone(), in[3].clone()};
    kernels::batch_norm_update_running(in[0], in[1], 8, 0.1, running[0], running[1]);
    return running;
  };
  invstd.entry = "invstd";
  invstd.inputs = {positive};
  invstd.run = [](const std::vector<Tensor>& in) {
    return std::vector<Tensor>{kernels::batch_norm_invstd(in[0], 1e-5, in[0].dtype())};
  };
  return {from_sums, update, invstd};
}

OpCase fold_case(const Shape& filter, bool bias) {
  OpCase c{.op = "batch_norm",
           .entry = "fold",
           .descriptor = BatchNormProblem{filter}.str() + (bias ? " bias" : ""),
           .exact = false};
  const Input vector{.shape = {filter[0]}, .parameter = true};
  const Input positive{.shape = {filter[0]}, .fill = Fill::positive, .parameter = true};
  c.inputs = {{filter}, vector, vector, vector, positive, vector};
  c.run = [=](const std::vector<Tensor>& in) {
    const DType dtype = in[0].dtype();
    const kernels::FoldedFilter folded = kernels::batch_norm_fold(
        in[0].to(parameter_dtype(dtype)), bias ? in[5] : Tensor(), {in[1], in[2], in[3], in[4], 1e-5}, dtype);
    return std::vector<Tensor>{folded.weight, folded.bias};
  };
  c.accumulation = 2;
  c.flops = static_cast<double>(filter.numel());
  c.bytes = 8.0 * static_cast<double>(filter.numel());
  return c;
}

OpCase apply_case(const Shape& shape, Activation activation, bool residual, bool into_slice = false) {
  OpCase c{
      .op = "batch_norm",
      .entry = "apply",
      .descriptor =
          BatchNormProblem{shape, DType::f32, activation, residual}.str() + (into_slice ? " slice" : ""),
      .inputs = {
          {shape}, vector_of(shape), vector_of(shape, Fill::positive), vector_of(shape), vector_of(shape)}};
  if (residual) c.inputs.push_back({shape});
  c.run = [=](const std::vector<Tensor>& in) {
    const Tensor y = into_slice ? slice_like(in[0]) : Tensor::empty_like(in[0]);
    kernels::batch_norm_apply(in[0], in[1], in[2], in[3], in[4], residual ? in[5] : Tensor(), activation, y);
    return std::vector<Tensor>{y};
  };
  c.accumulation = 4;
  c.flops = 3.0 * static_cast<double>(shape.numel());
  c.bytes = (residual ? 12.0 : 8.0) * static_cast<double>(shape.numel());
  return c;
}

// What the gradient of the activation is told from. With `applied` y is what apply made of x, and is written
// over dy in place: an implementation may leave y alone.
enum class Y { given, applied };

const char* suffix_of(Y y) {
  return y == Y::applied ? " applied, in place" : "";
}

kernels::BatchNormApplied applied_of(const std::vector<Tensor>& in, Activation activation, Y y) {
  return {in[3], in[4], in[5], y == Y::applied ? in[6] : Tensor(), activation};
}

// On the host: a test that forces an implementation of one entry leaves no choice for another.
Tensor y_of(const std::vector<Tensor>& in, Activation activation, Y told_from) {
  if (told_from == Y::given) return in[1];
  auto wide = [](const Tensor& t) { return t.to(Device::cpu).to(DType::f64).contiguous_copy_if_needed(); };
  const Tensor x = wide(in[0]), mean = wide(in[3]), invstd = wide(in[4]), gamma = wide(in[5]),
               beta = wide(in[6]);
  const Tensor y = Tensor::empty_like(x);
  for (int64_t i = 0; i < x.numel(); ++i) {
    const int64_t c = i % x.channels();
    const auto of = [c](const Tensor& vector) { return vector.data<double>()[c]; };
    const double v = (x.data<double>()[i] - of(mean)) * of(invstd) * of(gamma) + of(beta);
    // In bf16 a value below 6 must not round onto the kink of relu6: only where it lies between kinks
    // matters.
    y.data<double>()[i] = v < 6 ? std::min(activate(activation, v), 5.9375) : activate(activation, v);
  }
  return y.to(in[0].dtype()).to(in[0].device());
}

// x, y, dy, mean, invstd, gamma, beta
std::vector<Input> backward_inputs(const Shape& shape) {
  return {{shape},          {shape},         {shape}, vector_of(shape), vector_of(shape, Fill::positive),
          vector_of(shape), vector_of(shape)};
}

OpCase sums_case(const Shape& shape, Activation activation, bool residual, Y told_from = Y::given) {
  OpCase c{
      .op = "batch_norm",
      .entry = "backward_sums",
      .descriptor = BatchNormProblem{shape, DType::f32, activation, residual}.str() + suffix_of(told_from),
      .inputs = backward_inputs(shape)};
  c.run = [=](const std::vector<Tensor>& in) {
    const Tensor dgamma = Tensor::empty_like(in[3]), dbeta = Tensor::empty_like(in[3]);
    Tensor dy = in[2], dresidual;
    if (residual) dresidual = slice_like(in[0]);
    if (residual && told_from == Y::applied) dresidual = dy = in[2].clone();
    kernels::batch_norm_backward_sums(in[0], y_of(in, activation, told_from), dy,
                                      applied_of(in, activation, told_from), dgamma, dbeta, dresidual);
    return std::vector<Tensor>{dgamma, dbeta, dresidual};
  };
  c.accumulation = 4 * shape.numel() / shape[-1];
  c.flops = 4.0 * static_cast<double>(shape.numel());
  c.bytes = (8.0 + (activation != Activation::none ? 4 : 0) + (residual ? 4 : 0)) *
            static_cast<double>(shape.numel());
  return c;
}

OpCase input_case(const Shape& shape, Activation activation, bool training, Y told_from = Y::given) {
  OpCase c{.op = "batch_norm",
           .entry = "backward_input",
           .descriptor = BatchNormProblem{shape, DType::f32, activation}.str() + (training ? "" : " frozen") +
                         suffix_of(told_from),
           .inputs = backward_inputs(shape)};
  c.inputs.push_back(vector_of(shape));  // dgamma, dbeta
  c.inputs.push_back(vector_of(shape));
  c.run = [=](const std::vector<Tensor>& in) {
    Tensor dy = in[2], dx = slice_like(in[0]);
    if (told_from == Y::applied) dx = dy = in[2].clone();
    kernels::batch_norm_backward_input(in[0], y_of(in, activation, told_from), dy,
                                       applied_of(in, activation, told_from), training ? in[7] : Tensor(),
                                       training ? in[8] : Tensor(), dx);
    return std::vector<Tensor>{dx};
  };
  c.exact = !training;  // training divides by the number of pixels
  c.accumulation = 4;
  c.flops = (training ? 5.0 : 1.0) * static_cast<double>(shape.numel());
  c.bytes = (8.0 + (training ? 4 : 0) + (activation != Activation::none ? 4 : 0)) *
            static_cast<double>(shape.numel());
  return c;
}

// Inputs x, gamma, beta and perhaps a residual. Running statistics are cloned: gradcheck needs a pure
// function.
GradientCase gradient_case(const Shape& shape, Activation activation, bool training, bool residual,
                           bool from_sums = false) {
  const Shape parameter{shape[-1]};
  GradientCase g{.op = "batch_norm",
                 .descriptor = BatchNormProblem{shape, DType::f64, activation, residual}.str() +
                               (training ? "" : " frozen") + (from_sums ? " from sums" : ""),
                 .inputs = {{shape}, {parameter, Fill::positive}, {parameter}},
                 .ops_alone = !from_sums};
  if (residual) g.inputs.push_back({shape});
  g.function = [=](const std::vector<Variable>& in) {
    const Tensor mean = Tensor::full(parameter, 0.25, DType::f64),
                 var = Tensor::full(parameter, 1.5, DType::f64);
    layers::BatchNormOptions options{.training = training, .eps = 1e-3, .activation = activation};
    if (from_sums) {
      const int64_t channels = shape[-1];
      options.sums = Tensor::zeros({2, channels}, DType::f64);
      for (int64_t i = 0; i < shape.numel(); ++i) {
        const double v = in[0].value().data<double>()[i];
        options.sums.data<double>()[i % channels] += v;
        options.sums.data<double>()[channels + i % channels] += v * v;
      }
    }
    return layers::batch_norm(in[0], in[1], in[2], mean, var, options, residual ? in[3] : Variable());
  };
  return g;
}

void add_bad_inputs(CaseList& list) {
  auto call = [](Shape x, Shape gamma, bool training, DType gamma_dtype = DType::f32) {
    return [=] {
      const Tensor mean = Tensor::zeros(gamma), var = Tensor::full(gamma, 1.0);
      layers::batch_norm(Variable(Tensor::zeros(x)), Variable(Tensor::zeros(gamma, gamma_dtype)),
                         Variable(Tensor::zeros(gamma)), training ? mean : Tensor(),
                         training ? var : Tensor(), {.training = training});
    };
  };
  list.bad_inputs.push_back({"batch_norm", "one value per channel", call({1, 1, 1, 4}, {4}, true),
                             "more than one value per channel", ErrorKind::config});
  list.bad_inputs.push_back({"batch_norm", "no pixels", call({0, 2, 2, 4}, {4}, true),
                             "more than one value per channel", ErrorKind::config});
  list.bad_inputs.push_back(
      {"batch_norm", "wrong channels", call({1, 2, 2, 4}, {5}, true), "the running mean must be f32 [4]"});
  list.bad_inputs.push_back(
      {"batch_norm", "wrong dtype", call({1, 2, 2, 4}, {4}, true, DType::f64), "gamma must be f32 [4]"});
  list.bad_inputs.push_back(
      {"batch_norm", "no running statistics", call({1, 2, 2, 4}, {4}, false), "needs running statistics"});
  list.bad_inputs.push_back({"batch_norm", "residual of another shape",
                             [] {
                               const Variable p(Tensor::zeros({3}));
                               layers::batch_norm(Variable(Tensor::zeros({1, 2, 2, 3})), p, p, {}, {}, {},
                                                  Variable(Tensor::zeros({1, 2, 3, 3})));
                             },
                             "the residual must have the shape and dtype of the input"});
  list.bad_inputs.push_back({"batch_norm", "parameters on another device",
                             [] {
                               const Variable p(Tensor::zeros({3}, DType::f32, Device::sim));
                               layers::batch_norm(Variable(Tensor::zeros({1, 2, 2, 3})), p, p, {}, {});
                             },
                             "all tensors must lie on one device"});
  list.bad_inputs.push_back({"batch_norm", "bf16 parameters",
                             [] {
                               const Variable p(Tensor::zeros({3}, DType::bf16, Device::sim));
                               const Tensor x = Tensor::zeros({1, 2, 2, 3}, DType::bf16, Device::sim);
                               layers::batch_norm(Variable(x), p, p, {}, {});
                             },
                             "gamma must be f32 [3]"});
  list.bad_inputs.push_back(
      {"batch_norm", "folding into a filter of another size",
       [] {
         const Tensor p = Tensor::full({3}, 1.0);
         kernels::batch_norm_fold(Tensor::zeros({4, 3, 3, 2}), {}, {p, p, p, p}, DType::f32);
       },
       "gamma must be f32 [4]"});
  list.bad_inputs.push_back({"batch_norm", "sums of another shape",
                             [] {
                               const Variable p(Tensor::zeros({3}));
                               layers::batch_norm(Variable(Tensor::zeros({1, 2, 2, 3})), p, p, {}, {},
                                                  {.sums = Tensor::zeros({3, 2})});
                             },
                             "precomputed sums must be [2, 3]"});
}

}  // namespace

void add_batch_norm_cases(CaseList& list) {
  const Shape shapes[] = {{2, 5, 7, 1},  {1, 9, 5, 3},    {2, 7, 3, 11}, {1, 6, 6, 16},
                          {2, 3, 5, 21}, {3, 33, 17, 32}, {2, 4, 4, 65}, {17, 40}};
  for (const Shape& shape : shapes) {
    list.cases.push_back(statistics_case(shape));
    for (Activation activation : {Activation::none, Activation::relu, Activation::relu6}) {
      for (bool residual : {false, true}) {
        list.cases.push_back(apply_case(shape, activation, residual));
        for (Y y : {Y::given, Y::applied}) list.cases.push_back(sums_case(shape, activation, residual, y));
      }
      for (bool training : {false, true}) {
        for (Y y : {Y::given, Y::applied}) list.cases.push_back(input_case(shape, activation, training, y));
      }
    }
    list.cases.push_back(apply_case(shape, Activation::relu, true, true));
  }
  // A convolution without a bias never has such a mean, an input that was not normalised does.
  for (const Shape& shape : {Shape{2, 5, 7, 3}, Shape{1, 33, 31, 16}, Shape{300, 40}})
    list.cases.push_back(statistics_case(shape, Fill::offset));
  for (int64_t channels : {1, 21, 256, 300}) {
    for (const OpCase& c : vector_cases({channels})) list.cases.push_back(c);
  }
  for (const Shape& filter :
       {Shape{1, 1, 1, 1}, Shape{5, 3, 3, 3}, Shape{21, 1, 1, 300}, Shape{2, 7, 7, 16}}) {
    for (const bool bias : {false, true}) list.cases.push_back(fold_case(filter, bias));
  }
  // More channels than a block has lanes; no pixels.
  list.cases.push_back(statistics_case({1, 9, 2, 260}));
  list.cases.push_back(sums_case({1, 9, 2, 260}, Activation::relu, true));
  list.cases.push_back(apply_case({1, 9, 2, 260}, Activation::relu, true));
  list.cases.push_back(input_case({1, 9, 2, 260}, Activation::relu, true));
  list.cases.push_back(sums_case({0, 4, 4, 8}, Activation::relu, true));
  list.cases.push_back(apply_case({0, 4, 4, 8}, Activation::relu, false));
  list.cases.push_back(input_case({0, 4, 4, 8}, Activation::relu, true));
  for (Activation activation : {Activation::none, Activation::relu, Activation::relu6}) {
    for (bool training : {false, true}) {
      for (bool residual : {false, true})
        list.gradients.push_back(gradient_case({2, 3, 4, 5}, activation, training, residual));
    }
  }
  list.gradients.push_back(gradient_case({2, 3, 4, 5}, Activation::relu, true, true, true));
  add_bad_inputs(list);

  for (const auto& [shape, network] :
       {std::pair{Shape{1, 256, 256, 32}, "unet32_256"}, std::pair{Shape{4, 64, 64, 64}, "unet32_256"},
        std::pair{Shape{1, 33, 33, 2048}, "deeplabv3_r50_513"}}) {
    for (OpCase c : {statistics_case(shape), fold_case({shape[-1], 3, 3, shape[-1]}, false),
                     apply_case(shape, Activation::relu, false), apply_case(shape, Activation::relu, true),
                     sums_case(shape, Activation::relu, false), input_case(shape, Activation::relu, true)}) {
      c.benchmark = true;
      c.network = network;
      list.cases.push_back(c);
    }
  }
}

}  // namespace atrous::cases
