// Elementwise ops. Formulas: pointwise_math.h. Table: pointwise_ops.h.
//
//   unary      y = f(x; a, b)            dx = f'(x; a, b) dy
//   binary     y = f(x, z)               equal shapes
//   broadcast  y = x + z or x * z        z is [C], or [N, 1, ..., 1, C]: one value per channel (and image);
//                                        or the shape of x with one channel: one value per pixel
//
// f32, f64 or (on a device) bf16, pixel-strided views allowed. The output may be an input (in place).
#pragma once

#include <string>

#include "core/tensor.h"
#include "kernels/pointwise/pointwise_math.h"
#include "kernels/pointwise/pointwise_ops.h"

namespace atrous::kernels {

#define ATROUS_ROW(name) name,
enum class Unary : unsigned char { ATROUS_UNARY_OPS(ATROUS_ROW) };
enum class Binary : unsigned char { ATROUS_BINARY_OPS(ATROUS_ROW) };
#undef ATROUS_ROW

const char* name_of(Unary op);
const char* name_of(Binary op);
// The tensor that the backward pass of an op needs: none, its input or its output.
pointwise::Keeps keeps_of(Unary op);

struct UnaryProblem {
  Unary op;
  Shape shape;
  DType dtype = DType::f32;
  double a = 0, b = 0;
  std::string str() const;  // "leaky_relu(0.1, 0) f32 [2, 5, 7, 3]"
};

struct BinaryProblem {
  Binary op;
  Shape shape;
  DType dtype = DType::f32;
  Shape other = {};  // shape of z, if it is broadcast
  bool broadcast = false;
  std::string str() const;  // "mul f32 [2, 5, 7, 3] by [2, 1, 1, 3]"
  // z has one value per pixel, not per channel. (With one channel in x both are the same.)
  bool per_pixel() const { return broadcast && other.rank() == shape.rank() && other[-1] != shape[-1]; }
};

void unary_forward(Unary op, const Tensor& x, const Tensor& y, double a = 0, double b = 0);
// `kept` is the input or the output of forward, see keeps_of; undefined if nothing is needed.
void unary_backward(Unary op, const Tensor& kept, const Tensor& dy, const Tensor& dx, double a = 0,
                    double b = 0);

void binary_forward(Binary op, const Tensor& x, const Tensor& z, const Tensor& y);
// Writes the gradients that are defined.
void binary_backward(Binary op, const Tensor& x, const Tensor& z, const Tensor& dy, const Tensor& dx,
                     const Tensor& dz);

// op is add or mul.
void broadcast_forward(Binary op, const Tensor& x, const Tensor& z, const Tensor& y);
// dz = sum of dy (add) or of dy * x (mul) over the elements of x that share an element of z. Fixed order.
void broadcast_backward_vector(Binary op, const Tensor& x, const Tensor& dy, const Tensor& dz);

}  // namespace atrous::kernels
