// Differentiable elementwise functions (kernels/pointwise/pointwise_math.h has the formulas).
//
// Inputs are f32, f64 or bf16 of any shape; results are new tensors. The functions that end in _ overwrite
// their input instead: its version is bumped, so that backward detects the change of a saved value. They
// refuse leaves that require gradients.
#pragma once

#include "core/autograd.h"
#include "kernels/pointwise/pointwise.h"

namespace atrous::layers {

// Any op of the table; a and b are its parameters.
Variable unary(kernels::Unary op, const Variable& x, double a = 0, double b = 0);
// Only ops whose gradient needs the output or nothing (kernels::keeps_of).
Variable unary_(kernels::Unary op, const Variable& x, double a = 0, double b = 0);
// Equal shapes; add and mul also take z of shape [C] or [N, 1, ..., 1, C] (bias, squeeze-and-excitation), or
// of one channel (spatial attention).
Variable binary(kernels::Binary op, const Variable& x, const Variable& z);

inline Variable relu(const Variable& x) {
  return unary(kernels::Unary::relu, x);
}
inline Variable relu_(const Variable& x) {
  return unary_(kernels::Unary::relu, x);
}
inline Variable relu6(const Variable& x) {
  return unary(kernels::Unary::relu6, x);
}
inline Variable relu6_(const Variable& x) {
  return unary_(kernels::Unary::relu6, x);
}
// x where x >= 0, else slope * x; slope >= 0
inline Variable leaky_relu(const Variable& x, double slope = 0.01) {
  return unary(kernels::Unary::leaky_relu, x, slope);
}
inline Variable leaky_relu_(const Variable& x, double slope = 0.01) {
  return unary_(kernels::Unary::leaky_relu, x, slope);
}
inline Variable sigmoid(const Variable& x) {
  return unary(kernels::Unary::sigmoid, x);
}
inline Variable tanh(const Variable& x) {
  return unary(kernels::Unary::tanh, x);
}
inline Variable softplus(const Variable& x) {
  return unary(kernels::Unary::softplus, x);
}
inline Variable gelu(const Variable& x) {
  return unary(kernels::Unary::gelu, x);
}
inline Variable silu(const Variable& x) {
  return unary(kernels::Unary::silu, x);
}
inline Variable hard_sigmoid(const Variable& x) {
  return unary(kernels::Unary::hard_sigmoid, x);
}
inline Variable hard_swish(const Variable& x) {
  return unary(kernels::Unary::hard_swish, x);
}
inline Variable exp(const Variable& x) {
  return unary(kernels::Unary::exp, x);
}
inline Variable log(const Variable& x) {
  return unary(kernels::Unary::log, x);
}
inline Variable sqrt(const Variable& x) {
  return unary(kernels::Unary::sqrt, x);
}
inline Variable neg(const Variable& x) {
  return unary(kernels::Unary::neg, x);
}
inline Variable abs(const Variable& x) {
  return unary(kernels::Unary::abs, x);
}
inline Variable square(const Variable& x) {
  return unary(kernels::Unary::square, x);
}
// a * x + b
inline Variable scale(const Variable& x, double a, double b = 0) {
  return unary(kernels::Unary::scale, x, a, b);
}

inline Variable add(const Variable& x, const Variable& z) {
  return binary(kernels::Binary::add, x, z);
}
inline Variable sub(const Variable& x, const Variable& z) {
  return binary(kernels::Binary::sub, x, z);
}
inline Variable mul(const Variable& x, const Variable& z) {
  return binary(kernels::Binary::mul, x, z);
}
inline Variable div(const Variable& x, const Variable& z) {
  return binary(kernels::Binary::div, x, z);
}
inline Variable maximum(const Variable& x, const Variable& z) {
  return binary(kernels::Binary::maximum, x, z);
}
inline Variable minimum(const Variable& x, const Variable& z) {
  return binary(kernels::Binary::minimum, x, z);
}

}  // namespace atrous::layers
