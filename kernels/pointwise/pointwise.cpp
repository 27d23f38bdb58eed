#include "kernels/pointwise/pointwise.h"

#include "kernels/common/dispatch.h"
#include "kernels/pointwise/pointwise_impl.h"

namespace atrous::kernels {
namespace {

constexpr auto only_f32 = [](const auto& problem) -> const char* {
  return problem.dtype == DType::f32 ? nullptr : "dtype is not f32";
};

constexpr auto why_not_per_channel = [](const BinaryProblem& problem) -> const char* {
  return problem.per_pixel() ? "the operand has one value per pixel" : why_not_f64(problem);
};
constexpr auto why_not_per_pixel = [](const BinaryProblem& problem) -> const char* {
  return problem.per_pixel() ? why_not_f64(problem) : "the operand has one value per channel";
};

constexpr Implementation<UnaryProblem, UnaryForwardFn> unary_forward_table[] = {
    ATROUS_ON_GPU("vectorised", why_not_f64, unary_forward_vectorised),
    ATROUS_ON_GPU("scalar", why_not_f64, unary_forward_scalar),
    {"cpu", Device::cpu, only_f32, PointwiseCpu::unary_forward},
    {"ref", Device::cpu, why_not_bf16, PointwiseRef::unary_forward},
};
constexpr Implementation<UnaryProblem, UnaryBackwardFn> unary_backward_table[] = {
    ATROUS_ON_GPU("vectorised", why_not_f64, unary_backward_vectorised),
    ATROUS_ON_GPU("scalar", why_not_f64, unary_backward_scalar),
    {"cpu", Device::cpu, only_f32, PointwiseCpu::unary_backward},
    {"ref", Device::cpu, why_not_bf16, PointwiseRef::unary_backward},
};
constexpr Implementation<BinaryProblem, BinaryForwardFn> binary_forward_table[] = {
    ATROUS_ON_GPU("vectorised", why_not_f64, binary_forward_vectorised),
    ATROUS_ON_GPU("scalar", why_not_f64, binary_forward_scalar),
    {"cpu", Device::cpu, only_f32, PointwiseCpu::binary_forward},
    {"ref", Device::cpu, why_not_bf16, PointwiseRef::binary_forward},
};
constexpr Implementation<BinaryProblem, BinaryBackwardFn> binary_backward_table[] = {
    ATROUS_ON_GPU("vectorised", why_not_f64, binary_backward_vectorised),
    ATROUS_ON_GPU("scalar", why_not_f64, binary_backward_scalar),
    {"cpu", Device::cpu, only_f32, PointwiseCpu::binary_backward},
    {"ref", Device::cpu, why_not_bf16, PointwiseRef::binary_backward},
};
constexpr Implementation<BinaryProblem, BinaryForwardFn> broadcast_forward_table[] = {
    ATROUS_ON_GPU("vectorised", why_not_per_channel, broadcast_forward_vectorised),
    ATROUS_ON_GPU("scalar", why_not_per_channel, broadcast_forward_scalar),
    ATROUS_ON_GPU("per_pixel_vectorised", why_not_per_pixel, per_pixel_forward_vectorised),
    ATROUS_ON_GPU("per_pixel_scalar", why_not_per_pixel, per_pixel_forward_scalar),
    {"cpu", Device::cpu, only_f32, PointwiseCpu::broadcast_forward},
    {"ref", Device::cpu, why_not_bf16, PointwiseRef::broadcast_forward},
};
constexpr Implementation<BinaryProblem, BroadcastVectorFn> broadcast_vector_table[] = {
    ATROUS_ON_GPU("strips", why_not_per_channel, broadcast_vector_strips),
    ATROUS_ON_GPU("naive", why_not_per_channel, broadcast_vector_naive),
    ATROUS_ON_GPU("per_pixel_lanes", why_not_per_pixel, per_pixel_sums_lanes),
    ATROUS_ON_GPU("per_pixel_naive", why_not_per_pixel, per_pixel_sums_naive),
    {"cpu", Device::cpu, only_f32, PointwiseCpu::broadcast_vector},
    {"ref", Device::cpu, why_not_bf16, PointwiseRef::broadcast_vector},
};

void check_dtype(const char* op, const Tensor& x) {
  ATROUS_CHECK(x.defined() && is_floating(x.dtype()), ErrorKind::usage,
               "[{}] the input must be f32, f64 or bf16. Got {}.", op, x.describe());
}

void check_like(const char* op, const char* what, const Tensor& t, const Tensor& x) {
  ATROUS_CHECK(t.shape() == x.shape() && t.dtype() == x.dtype(), ErrorKind::usage,
               "[{}] {} must have the shape and dtype of the input. Got {} for {}.", op, what, t.describe(),
               x.describe());
  check_same_device(op, {x, t});
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
  ATROUS_CHECK(
      fits, ErrorKind::usage,
      "[{}] operands must have equal shapes and dtypes, or the second must be [C], [N, 1, ..., 1, C] "
      "or of one channel. Got {} and {}.",
      name_of(op), x.describe(), z.describe());
  check_same_device(name_of(op), {x, z});
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
  // Validation runs the op twice on the same input, which an in-place result would have replaced.
  const Tensor source = validation_is_on() && y.shares_memory_with(x) ? x.clone() : x;
  dispatch("pointwise", "pointwise.unary_forward", unary_forward_table,
           UnaryProblem{op, x.shape(), x.dtype(), a, b}, {y}, source, y);
  y.bump_version();
}

void unary_backward(Unary op, const Tensor& kept, const Tensor& dy, const Tensor& dx, double a, double b) {
  check_dtype(name_of(op), dy);
  if (keeps_of(op) != pointwise::Keeps::nothing) check_like(name_of(op), "the kept tensor", kept, dy);
  check_like(name_of(op), "dx", dx, dy);
  const Tensor source = validation_is_on() && dx.shares_memory_with(dy) ? dy.clone() : dy;
  dispatch("pointwise", "pointwise.unary_backward", unary_backward_table,
           UnaryProblem{op, dy.shape(), dy.dtype(), a, b}, {dx}, kept, source, dx);
}

void binary_forward(Binary op, const Tensor& x, const Tensor& z, const Tensor& y) {
  check_dtype(name_of(op), x);
  check_like(name_of(op), "the second operand", z, x);
  check_like(name_of(op), "the output", y, x);
  const Tensor left = validation_is_on() && y.shares_memory_with(x) ? x.clone() : x;
  const Tensor right = validation_is_on() && y.shares_memory_with(z) ? z.clone() : z;
  dispatch("pointwise", "pointwise.binary_forward", binary_forward_table,
           BinaryProblem{op, x.shape(), x.dtype()}, {y}, left, right, y);
  y.bump_version();
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
  dx.defined() ? dispatch("pointwise", "pointwise.binary_backward", binary_backward_table, problem, {dx, dz},
                          x, z, dy, dx, dz)
               : dispatch("pointwise", "pointwise.binary_backward", binary_backward_table, problem, {dz}, x,
                          z, dy, dx, dz);
}

void broadcast_forward(Binary op, const Tensor& x, const Tensor& z, const Tensor& y) {
  check_broadcast(op, x, z);
  check_like(name_of(op), "the output", y, x);
  dispatch("pointwise", "pointwise.broadcast_forward", broadcast_forward_table,
           BinaryProblem{op, x.shape(), x.dtype(), z.shape(), true}, {y}, x, z, y);
  y.bump_version();
}

void broadcast_backward_vector(Binary op, const Tensor& x, const Tensor& dy, const Tensor& dz) {
  check_broadcast(op, dy, dz);
  if (op == Binary::mul) check_like(name_of(op), "the first operand", x, dy);
  dispatch("pointwise", "pointwise.broadcast_backward_vector", broadcast_vector_table,
           BinaryProblem{op, dy.shape(), dy.dtype(), dz.shape(), true}, {dz}, x, dy, dz);
}

std::vector<std::string> unary_candidates(std::string_view entry, const UnaryProblem& problem,
                                          Device device) {
  if (entry == "unary_forward") return candidates(unary_forward_table, problem, device);
  if (entry == "unary_backward") return candidates(unary_backward_table, problem, device);
  unknown_entry("pointwise", entry);
}

std::vector<std::string> binary_candidates(std::string_view entry, const BinaryProblem& problem,
                                           Device device) {
  if (entry == "binary_forward") return candidates(binary_forward_table, problem, device);
  if (entry == "binary_backward") return candidates(binary_backward_table, problem, device);
  if (entry == "broadcast_forward") return candidates(broadcast_forward_table, problem, device);
  if (entry == "broadcast_backward_vector") return candidates(broadcast_vector_table, problem, device);
  unknown_entry("pointwise", entry);
}

}  // namespace atrous::kernels
