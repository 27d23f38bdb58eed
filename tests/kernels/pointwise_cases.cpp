#include "kernels/pointwise/pointwise.h"

#include "layers/pointwise.h"
#include "tests/kernels/op_case.h"

namespace atrous::cases {
namespace {

using kernels::Binary;
using kernels::BinaryProblem;
using kernels::Unary;
using kernels::UnaryProblem;

struct UnaryRow {
  Unary op;
  Fill fill;
  bool exact;
  double a = 0, b = 0;
};

// One row per unary op: where it may be evaluated, and whether integers stay exact.
const UnaryRow unary_rows[] = {
    {Unary::relu, Fill::off_kink, true},
    {Unary::relu6, Fill::off_kink, true},
    {Unary::leaky_relu, Fill::off_kink, true, 0.25},
    {Unary::sigmoid, Fill::real, false},
    {Unary::tanh, Fill::real, false},
    {Unary::softplus, Fill::real, false},
    {Unary::gelu, Fill::real, false},
    {Unary::silu, Fill::real, false},
    {Unary::hard_sigmoid, Fill::real, false},
    {Unary::hard_swish, Fill::real, false},
    {Unary::exp, Fill::real, false},
    {Unary::log, Fill::positive, false},
    {Unary::sqrt, Fill::positive, true},
    {Unary::neg, Fill::real, true},
    {Unary::abs, Fill::off_kink, true},
    {Unary::square, Fill::real, true},
    {Unary::scale, Fill::real, true, -2, 3},
};

struct BinaryRow {
  Binary op;
  Fill x, z;
  bool exact;
};

const BinaryRow binary_rows[] = {
    {Binary::add, Fill::real, Fill::real, true},         {Binary::sub, Fill::real, Fill::real, true},
    {Binary::mul, Fill::real, Fill::real, true},         {Binary::div, Fill::real, Fill::positive, false},
    {Binary::maximum, Fill::distinct, Fill::real, true}, {Binary::minimum, Fill::distinct, Fill::real, true},
};

OpCase named(const char* entry, std::string descriptor, std::vector<Input> inputs, bool exact) {
  OpCase c;
  c.op = "pointwise";
  c.entry = entry;
  c.descriptor = std::move(descriptor);
  c.inputs = std::move(inputs);
  c.exact = exact;
  c.accumulation = 16;  // a few roundings, amplified by the slope of exp and the like
  return c;
}

OpCase unary_case(const UnaryRow& row, const Shape& shape, bool in_place) {
  OpCase c =
      named("unary_forward",
            UnaryProblem{row.op, shape, DType::f32, row.a, row.b}.str() + (in_place ? " in place" : ""),
            {{shape, row.fill}}, row.exact);
  c.run = [=](const std::vector<Tensor>& in) {
    const Tensor x = in_place ? in[0].clone() : in[0];
    const Tensor y = in_place ? x : Tensor::empty_like(x);
    kernels::unary_forward(row.op, x, y, row.a, row.b);
    return std::vector<Tensor>{y};
  };
  c.flops = static_cast<double>(shape.numel());
  c.bytes = 8.0 * static_cast<double>(shape.numel());
  return c;
}

OpCase unary_gradient_kernel_case(const UnaryRow& row, const Shape& shape) {
  OpCase c = named("unary_backward", UnaryProblem{row.op, shape, DType::f32, row.a, row.b}.str(),
                   {{shape, row.fill}, {shape}}, row.exact && row.op != Unary::sqrt);
  c.run = [=](const std::vector<Tensor>& in) {
    const Tensor dx = Tensor::empty_like(in[0]);
    kernels::unary_backward(row.op, in[0], in[1], dx, row.a, row.b);
    return std::vector<Tensor>{dx};
  };
  c.flops = static_cast<double>(shape.numel());
  c.bytes = 12.0 * static_cast<double>(shape.numel());
  return c;
}

OpCase binary_case(const BinaryRow& row, const Shape& shape) {
  OpCase c = named("binary_forward", BinaryProblem{row.op, shape}.str(), {{shape, row.x}, {shape, row.z}},
                   row.exact);
  c.run = [=](const std::vector<Tensor>& in) {
    const Tensor y = Tensor::empty_like(in[0]);
    kernels::binary_forward(row.op, in[0], in[1], y);
    return std::vector<Tensor>{y};
  };
  c.flops = static_cast<double>(shape.numel());
  c.bytes = 12.0 * static_cast<double>(shape.numel());
  return c;
}

OpCase binary_gradient_kernel_case(const BinaryRow& row, const Shape& shape) {
  OpCase c = named("binary_backward", BinaryProblem{row.op, shape}.str(),
                   {{shape, row.x}, {shape, row.z}, {shape}}, row.exact);
  c.run = [=](const std::vector<Tensor>& in) {
    const Tensor dx = Tensor::empty_like(in[0]), dz = Tensor::empty_like(in[0]);
    kernels::binary_backward(row.op, in[0], in[1], in[2], dx, dz);
    const Tensor dz_alone = Tensor::empty_like(in[0]);
    kernels::binary_backward(row.op, in[0], in[1], in[2], Tensor(), dz_alone);
    return std::vector<Tensor>{dx, dz, dz_alone};
  };
  return c;
}

OpCase broadcast_case(Binary op, const Shape& shape, const Shape& other) {
  OpCase c = named("broadcast_forward", BinaryProblem{op, shape, DType::f32, other, true}.str(),
                   {{shape}, {other}}, true);
  c.run = [=](const std::vector<Tensor>& in) {
    const Tensor y = Tensor::empty_like(in[0]);
    kernels::broadcast_forward(op, in[0], in[1], y);
    return std::vector<Tensor>{y};
  };
  c.flops = static_cast<double>(shape.numel());
  c.bytes = 8.0 * static_cast<double>(shape.numel());
  return c;
}

OpCase broadcast_vector_case(Binary op, const Shape& shape, const Shape& other) {
  OpCase c = named("broadcast_backward_vector", BinaryProblem{op, shape, DType::f32, other, true}.str(),
                   {{shape}, {shape}}, true);
  c.run = [=](const std::vector<Tensor>& in) {
    const Tensor dz = Tensor::empty(other, in[0].dtype(), in[0].device());
    kernels::broadcast_backward_vector(op, in[0], in[1], dz);
    return std::vector<Tensor>{dz};
  };
  c.accumulation = shape.numel() / std::max<int64_t>(1, other.numel());
  c.flops = static_cast<double>(shape.numel());
  c.bytes = (op == Binary::mul ? 8.0 : 4.0) * static_cast<double>(shape.numel());
  return c;
}

void add_gradients(CaseList& list) {
  const Shape shape{2, 3, 4, 5};
  for (const UnaryRow& row : unary_rows) {
    list.gradients.push_back(
        {"pointwise",
         UnaryProblem{row.op, shape, DType::f64, row.a, row.b}.str(),
         {{shape, row.fill}},
         [=](const std::vector<Variable>& in) { return layers::unary(row.op, in[0], row.a, row.b); }});
    if (kernels::keeps_of(row.op) == kernels::pointwise::Keeps::input) continue;
    list.gradients.push_back({"pointwise",
                              UnaryProblem{row.op, shape, DType::f64, row.a, row.b}.str() + " in place",
                              {{shape, row.fill}},
                              [=](const std::vector<Variable>& in) {
                                return layers::unary_(row.op, layers::scale(in[0], 1.0), row.a, row.b);
                              }});
  }
  for (const BinaryRow& row : binary_rows) {
    list.gradients.push_back(
        {"pointwise",
         BinaryProblem{row.op, shape, DType::f64}.str(),
         {{shape, row.x}, {shape, row.z}},
         [=](const std::vector<Variable>& in) { return layers::binary(row.op, in[0], in[1]); }});
  }
  for (Binary op : {Binary::add, Binary::mul}) {
    for (const Shape& other : {Shape{5}, Shape{2, 1, 1, 5}, Shape{2, 3, 4, 1}}) {
      for (int frozen : {-1, 0, 1}) {
        GradientCase g{
            "pointwise",
            BinaryProblem{op, shape, DType::f64, other, true}.str() + fmt::format(" frozen {}", frozen),
            {{shape}, {other}},
            [=](const std::vector<Variable>& in) { return layers::binary(op, in[0], in[1]); }};
        if (frozen >= 0) g.inputs[static_cast<size_t>(frozen)].differentiable = false;
        list.gradients.push_back(g);
      }
    }
  }
}

void add_bad_inputs(CaseList& list) {
  auto zeros = [](const Shape& shape, DType dtype = DType::f32) {
    return Variable(Tensor::zeros(shape, dtype));
  };
  auto bad = [&](const char* what, const char* text, std::function<void()> call) {
    list.bad_inputs.push_back({"pointwise", what, std::move(call), text});
  };
  bad("integer input", "[relu] the input must be f32, f64 or bf16", [=] {
    layers::relu(zeros({2, 3}, DType::i32));
  });
  bad("other spatial size", "operands must have equal shapes", [=] {
    layers::add(zeros({1, 2, 2, 3}), zeros({1, 2, 3, 3}));
  });
  bad("other batch size", "operands must have equal shapes", [=] {
    layers::mul(zeros({2, 2, 2, 3}), zeros({1, 1, 1, 3}));
  });
  bad("other channels", "operands must have equal shapes", [=] {
    layers::mul(zeros({2, 2, 2, 3}), zeros({4}));
  });
  bad("other dtype", "must have the shape and dtype", [=] {
    layers::add(zeros({2, 3}), zeros({2, 3}, DType::f64));
  });
  bad("broadcast of div", "only add and mul broadcast", [=] {
    layers::div(zeros({2, 2, 2, 3}), zeros({3}));
  });
  bad("negative slope", "the slope must not be negative", [=] { layers::leaky_relu(zeros({2, 3}), -0.1); });
  bad("in place on a leaf", "a leaf that requires a gradient", [] {
    layers::relu_(Variable(Tensor::zeros({2, 3}), true));
  });
  bad("in place of an op that needs its input", "[hard_swish_] this op needs its input", [=] {
    layers::unary_(Unary::hard_swish, zeros({2, 3}));
  });
}

}  // namespace

void add_pointwise_cases(CaseList& list) {
#define ATROUS_ROW(op)                                                              \
  for (const char* entry : {"pointwise.unary_forward", "pointwise.unary_backward"}) \
    list.variants.push_back({entry, #op});
  ATROUS_UNARY_OPS(ATROUS_ROW)
#undef ATROUS_ROW
#define ATROUS_ROW(op)                                                                \
  for (const char* entry : {"pointwise.binary_forward", "pointwise.binary_backward"}) \
    list.variants.push_back({entry, #op});
  ATROUS_BINARY_OPS(ATROUS_ROW)
#undef ATROUS_ROW
  const Shape shapes[] = {{2, 5, 7, 3}, {1, 3, 5, 16}, {1, 67, 31, 21}, {37}, {0, 4, 3, 8}};
  for (const Shape& shape : shapes) {
    for (const UnaryRow& row : unary_rows) {
      list.cases.push_back(unary_case(row, shape, false));
      list.cases.push_back(unary_gradient_kernel_case(row, shape));
    }
    for (const BinaryRow& row : binary_rows) {
      list.cases.push_back(binary_case(row, shape));
      list.cases.push_back(binary_gradient_kernel_case(row, shape));
    }
  }
  list.cases.push_back(unary_case(unary_rows[0], {2, 5, 7, 3}, true));
  for (Binary op : {Binary::add, Binary::mul}) {
    for (const auto& [shape, other] :
         {std::pair{Shape{2, 5, 7, 3}, Shape{3}}, std::pair{Shape{2, 5, 7, 3}, Shape{2, 1, 1, 3}},
          std::pair{Shape{0, 4, 3, 8}, Shape{8}}, std::pair{Shape{1, 2, 3, 300}, Shape{300}},
          std::pair{Shape{3, 33, 17, 40}, Shape{3, 1, 1, 40}}, std::pair{Shape{1, 65, 65, 11}, Shape{11}},
          std::pair{Shape{2, 5, 7, 3}, Shape{2, 5, 7, 1}}, std::pair{Shape{1, 9, 8, 64}, Shape{1, 9, 8, 1}},
          std::pair{Shape{0, 4, 3, 8}, Shape{0, 4, 3, 1}}, std::pair{Shape{3, 1, 1, 300}, Shape{3, 1, 1, 1}},
          std::pair{Shape{1, 33, 17, 17}, Shape{1, 33, 17, 1}}}) {
      list.cases.push_back(broadcast_case(op, shape, other));
      list.cases.push_back(broadcast_vector_case(op, shape, other));
    }
  }
  add_gradients(list);
  add_bad_inputs(list);

  const Shape big{1, 256, 256, 32};
  for (OpCase c :
       {unary_case(unary_rows[0], big, false), unary_gradient_kernel_case(unary_rows[0], big),
        unary_case(unary_rows[3], big, false), binary_case(binary_rows[0], big),
        broadcast_case(Binary::mul, {4, 64, 64, 72}, {4, 1, 1, 72}),
        broadcast_vector_case(Binary::add, big, {32}), broadcast_case(Binary::mul, big, {1, 256, 256, 1}),
        broadcast_vector_case(Binary::mul, big, {1, 256, 256, 1})}) {
    c.benchmark = true;
    c.network = "unet32_256";
    list.cases.push_back(c);
  }
}

}  // namespace atrous::cases
