#include "layers/pointwise.h"

namespace atrous::layers {
namespace {

using kernels::Binary;
using kernels::Unary;
using kernels::pointwise::Keeps;

Variable record_unary(Unary op, const Variable& x, const Tensor& y, double a, double b) {
  const Keeps keeps = kernels::keeps_of(op);
  const Saved kept = keeps == Keeps::nothing ? Saved() : Saved(keeps == Keeps::input ? x.value() : y);
  return record(kernels::name_of(op), y, {x}, [=](const BackwardContext& ctx) -> std::vector<Tensor> {
    const Tensor dx = ctx.room_for_grad();
    kernels::unary_backward(op, kept.defined() ? kept.get() : Tensor(), ctx.grad(), dx, a, b);
    return {dx};
  });
}

std::vector<Tensor> binary_gradients(Binary op, const Saved& x, const Saved& z, const BackwardContext& ctx) {
  const Tensor& dy = ctx.grad();
  Tensor dx, dz;
  if (op == Binary::add || op == Binary::sub) {  // the gradient is the incoming one: no copy
    dx = dy;
    dz = dy;
    if (op == Binary::sub && ctx.needs(1)) {
      dz = Tensor::empty_like(dy);
      kernels::unary_forward(Unary::neg, dy, dz);
    }
  } else {
    if (ctx.needs(0)) dx = Tensor::empty_like(dy);
    if (ctx.needs(1)) dz = Tensor::empty_like(dy);
    kernels::binary_backward(op, x.get(), z.get(), dy, dx, dz);
  }
  return {ctx.needs(0) ? dx : Tensor(), ctx.needs(1) ? dz : Tensor()};
}

std::vector<Tensor> broadcast_gradients(Binary op, const Saved& x, const Saved& z, const Shape& z_shape,
                                        const BackwardContext& ctx) {
  const Tensor& dy = ctx.grad();
  Tensor dx, dz;
  if (ctx.needs(0)) {
    dx = dy;
    if (op == Binary::mul) {
      dx = Tensor::empty_like(dy);
      kernels::broadcast_forward(Binary::mul, dy, z.get(), dx);
    }
  }
  if (ctx.needs(1)) {
    dz = Tensor::empty(z_shape, dy.dtype(), dy.device());
    kernels::broadcast_backward_vector(op, op == Binary::mul ? x.get() : Tensor(), dy, dz);
  }
  return {dx, dz};
}

}  // namespace

Variable unary(Unary op, const Variable& x, double a, double b) {
  const Tensor y = Tensor::empty_like(x.value());
  kernels::unary_forward(op, x.value(), y, a, b);
  return record_unary(op, x, y, a, b);
}

Variable unary_(Unary op, const Variable& x, double a, double b) {
  ATROUS_CHECK(kernels::keeps_of(op) != Keeps::input, ErrorKind::usage,
               "[{}_] this op needs its input for the gradient and cannot overwrite it. Use {} instead.",
               kernels::name_of(op), kernels::name_of(op));
  ATROUS_CHECK(!(grad_enabled() && x.is_leaf() && x.requires_grad()), ErrorKind::usage,
               "[{}_] a leaf that requires a gradient cannot be overwritten. Got {}. Use {} instead.",
               kernels::name_of(op), x.value().describe(), kernels::name_of(op));
  kernels::unary_forward(op, x.value(), x.value(), a, b);
  return record_unary(op, x, x.value(), a, b);
}

Variable binary(Binary op, const Variable& x, const Variable& z) {
  const Tensor y = Tensor::empty_like(x.value());
  const bool broadcast = x.shape() != z.shape();
  if (broadcast) {
    kernels::broadcast_forward(op, x.value(), z.value(), y);
  } else {
    kernels::binary_forward(op, x.value(), z.value(), y);
  }
  // Sums save no operand; a product saves an operand only for the gradient of the other one.
  const bool linear = op == Binary::add || op == Binary::sub;
  const bool product = op == Binary::mul;
  const Saved kept_x = linear || (product && broadcast && !z.requires_grad()) ? Saved() : Saved(x.value());
  const Saved kept_z = linear || (product && broadcast && !x.requires_grad()) ? Saved() : Saved(z.value());
  return record(kernels::name_of(op), y, {x, z}, [=, z_shape = z.shape()](const BackwardContext& ctx) {
    return broadcast ? broadcast_gradients(op, kept_x, kept_z, z_shape, ctx)
                     : binary_gradients(op, kept_x, kept_z, ctx);
  });
}

}  // namespace atrous::layers
