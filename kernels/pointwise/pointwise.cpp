#include "kernels/pointwise/pointwise.h"

#include "kernels/common/entry.h"
#include "kernels/pointwise/pointwise_impl.h"

namespace atrous::kernels {
namespace {

constexpr auto can_per_channel = [](const BinaryProblem& problem) -> const char* {
  return problem.per_pixel() ? "the operand has one value per pixel" : f32_or_bf16(problem);
};
constexpr auto can_per_pixel = [](const BinaryProblem& problem) -> const char* {
  return problem.per_pixel() ? f32_or_bf16(problem) : "the operand has one value per channel";
};

constexpr Entry<UnaryProblem, UnaryForwardFn> forward_unary{
    "pointwise.unary_forward",
    {
        ATROUS_ON_GPU("vectorised", f32_or_bf16, unary_forward_vectorised),
        ATROUS_ON_GPU("scalar", f32_or_bf16, unary_forward_scalar),
        {"cpu", Device::cpu, f32_only, PointwiseCpu::unary_forward},
        {"ref", Device::cpu, f32_or_f64, PointwiseRef::unary_forward},
    }};
constexpr Entry<UnaryProblem, UnaryBackwardFn> backward_unary{
    "pointwise.unary_backward",
    {
        ATROUS_ON_GPU("vectorised", f32_or_bf16, unary_backward_vectorised),
        ATROUS_ON_GPU("scalar", f32_or_bf16, unary_backward_scalar),
        {"cpu", Device::cpu, f32_only, PointwiseCpu::unary_backward},
        {"ref", Device::cpu, f32_or_f64, PointwiseRef::unary_backward},
    }};
constexpr Entry<BinaryProblem, BinaryForwardFn> forward_binary{
    "pointwise.binary_forward",
    {
        ATROUS_ON_GPU("vectorised", f32_or_bf16, binary_forward_vectorised),
        ATROUS_ON_GPU("scalar", f32_or_bf16, binary_forward_scalar),
        {"cpu", Device::cpu, f32_only, PointwiseCpu::binary_forward},
        {"ref", Device::cpu, f32_or_f64, PointwiseRef::binary_forward},
    }};
constexpr Entry<BinaryProblem, BinaryBackwardFn> backward_binary{
    "pointwise.binary_backward",
    {
        ATROUS_ON_GPU("vectorised", f32_or_bf16, binary_backward_vectorised),
        ATROUS_ON_GPU("scalar", f32_or_bf16, binary_backward_scalar),
        {"cpu", Device::cpu, f32_only, PointwiseCpu::binary_backward},
        {"ref", Device::cpu, f32_or_f64, PointwiseRef::binary_backward},
    }};
constexpr Entry<BinaryProblem, BinaryForwardFn> forward_broadcast{
    "pointwise.broadcast_forward",
    {
        ATROUS_ON_GPU("vectorised", can_per_channel, broadcast_forward_vectorised),
        ATROUS_ON_GPU("scalar", can_per_channel, broadcast_forward_scalar),
        ATROUS_ON_GPU("per_pixel_vectorised", can_per_pixel, per_pixel_forward_vectorised),
        ATROUS_ON_GPU("per_pixel_scalar", can_per_pixel, per_pixel_forward_scalar),
        {"cpu", Device::cpu, f32_only, PointwiseCpu::broadcast_forward},
        {"ref", Device::cpu, f32_or_f64, PointwiseRef::broadcast_forward},
    }};
constexpr Entry<BinaryProblem, BroadcastVectorFn> backward_broadcast_vector{
    "pointwise.broadcast_backward_vector",
    {
        ATROUS_ON_GPU("strips", can_per_channel, broadcast_vector_strips),
        ATROUS_ON_GPU("naive", can_per_channel, broadcast_vector_naive),
        ATROUS_ON_GPU("per_pixel_lanes", can_per_pixel, per_pixel_sums_lanes),
        ATROUS_ON_GPU("per_pixel_naive", can_per_pixel, per_pixel_sums_naive),
        {"cpu", Device::cpu, f32_only, PointwiseCpu::broadcast_vector},
        {"ref", Device::cpu, f32_or_f64, PointwiseRef::broadcast_vector},
    }};

void check_dtype(const char* op, const Tensor& x) {
  ATROUS_CHECK(x.defined() && is_floating(x.dtype()), ErrorKind::usage,
               "[{}] the input must be f32, f64 or bf16. Got {}.", op, x.describe());
}

void check_like(const char* op, const char* what, const Tensor& t, const Tensor& x) {
  ATROUS_CHECK(t.shape() == x.shape() && t.dtype() == x.dtype(), ErrorKind::usage,
               "[{}] {} must have the shape and dtype of the input. Got {} for {}.", op, what, t.describe(),
               x.describe());
}

// z must be [C], [N, 1, ..., 1, C] or [N, H, ..., W, 1].
void check_broadcast(Binary op, const Tensor& x, const Tensor& z) {
  check_dtype(name_of(op), x);
  ATROUS_CHECK(op == Binary::add || op == Binary::mul, ErrorKind::usage,
               "[{}] only add and mul broadcast. Got {} and {}. Expand the second operand first.",
               name_of(op), x.describe(), z.describe());
  bool fits = z.dtype() == x.dtype() && z.rank() >= 1 && z.dim(-1) == x.channels();
  if (fits && z.rank() > 1) {
    fits = z.rank() == x.rank() && z.dim(0) == x.dim(0);
    for (int axis = 1; fits && axis + 1 < z.rank(); ++axis) fits = z.dim(axis) == 1;
  }
  fits = fits || (z.dtype() == x.dtype() && x.rank() >= 1 && z.shape() == x.shape().with(-1, 1));
  ATROUS_CHECK(fits, ErrorKind::usage,
               "[{}] operands must have equal shapes and dtypes, or the second must be [C], [N, 1, ..., 1, "
               "C] or of one channel. Got {} and {}.",
               name_of(op), x.describe(), z.describe());
}

}  // namespace

#define ATROUS_ROW(name) #name,
const char* name_of(Unary op) {
  static constexpr const char* names[] = {ATROUS_UNARY_OPS(ATROUS_ROW)};
  return names[static_cast<int>(op)];
}
const char* name_of(Binary op) {
  static constexpr const char* names[] = {ATROUS_BINARY_OPS(ATROUS_ROW)};
  return names[static_cast<int>(op)];
}
#undef ATROUS_ROW

pointwise::Keeps keeps_of(Unary op) {
  pointwise::Keeps keeps = pointwise::Keeps::input;
  with_functor(op, [&](auto functor) { keeps = decltype(functor)::keeps; });
  return keeps;
}

std::string UnaryProblem::str() const {
  const std::string parameters = a != 0 || b != 0 ? fmt::format("({}, {})", a, b) : "";
  return fmt::format("{}{} {} {}", name_of(op), parameters, name_of(dtype), shape.str());
}

std::string BinaryProblem::str() const {
  return fmt::format("{} {} {}{}", name_of(op), name_of(dtype), shape.str(),
                     broadcast ? " by " + other.str() : "");
}

void unary_forward(Unary op, const Tensor& x, const Tensor& y, double a, double b) {
  check_dtype(name_of(op), x);
  check_like(name_of(op), "the output", y, x);
  ATROUS_CHECK(op != Unary::leaky_relu || a >= 0, ErrorKind::usage,
               "[leaky_relu] the slope must not be negative. Got {}.", a);
  forward_unary(UnaryProblem{op, x.shape(), x.dtype(), a, b}, x, writes(y));
}

void unary_backward(Unary op, const Tensor& kept, const Tensor& dy, const Tensor& dx, double a, double b) {
  check_dtype(name_of(op), dy);
  if (keeps_of(op) != pointwise::Keeps::nothing) check_like(name_of(op), "the kept tensor", kept, dy);
  check_like(name_of(op), "dx", dx, dy);
  backward_unary(UnaryProblem{op, dy.shape(), dy.dtype(), a, b}, kept, dy, writes(dx));
}

void binary_forward(Binary op, const Tensor& x, const Tensor& z, const Tensor& y) {
  check_dtype(name_of(op), x);
  check_like(name_of(op), "the second operand", z, x);
  check_like(name_of(op), "the output", y, x);
  forward_binary(BinaryProblem{op, x.shape(), x.dtype()}, x, z, writes(y));
}

void binary_backward(Binary op, const Tensor& x, const Tensor& z, const Tensor& dy, const Tensor& dx,
                     const Tensor& dz) {
  check_dtype(name_of(op), dy);
  for (const Tensor* t : {&x, &z}) check_like(name_of(op), "each operand", *t, dy);
  for (const Tensor* t : {&dx, &dz}) {
    if (t->defined()) check_like(name_of(op), "each gradient", *t, dy);
  }
  if (!dx.defined() && !dz.defined()) return;
  const BinaryProblem problem{op, dy.shape(), dy.dtype()};
  backward_binary(problem, x, z, dy, writes(dx), writes(dz));
}

void broadcast_forward(Binary op, const Tensor& x, const Tensor& z, const Tensor& y) {
  check_broadcast(op, x, z);
  check_like(name_of(op), "the output", y, x);
  forward_broadcast(BinaryProblem{op, x.shape(), x.dtype(), z.shape(), true}, x, z, writes(y));
}

void broadcast_backward_vector(Binary op, const Tensor& x, const Tensor& dy, const Tensor& dz) {
  check_broadcast(op, dy, dz);
  if (op == Binary::mul) check_like(name_of(op), "the first operand", x, dy);
  backward_broadcast_vector(BinaryProblem{op, dy.shape(), dy.dtype(), dz.shape(), true}, x, dy, writes(dz));
}

EntryList pointwise_entries() {
  return {&forward_unary,   &backward_unary,    &forward_binary,
          &backward_binary, &forward_broadcast, &backward_broadcast_vector};
}

}  // namespace atrous::kernels
