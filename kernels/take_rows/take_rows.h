// Picks rows, or one class's channels of each row, by index.
//
//   take_rows       y[i, ...] = x[index[i], ...]                 x [n, ..., C], index [m], y [m, ..., C]
//   take_class      y[i, ..., c] = x[i, ..., class[i] g + c]     x [n, ..., K g], class [n], y [n, ..., g]
//
// An invalid index gives zeros and gets no gradient: lists with a fixed capacity end in -1
// (kernels/nms/nms.h). Gradients of rows that were picked more than once are added in the order of the
// picks, so that they do not depend on scheduling.
#pragma once

#include <string>

#include "core/tensor.h"

namespace atrous::kernels {

struct TakeRowsProblem {
  int64_t from = 0;                   // rows of x
  int64_t to = 0;                     // rows of y
  int64_t pixels = 1;                 // of a row
  int64_t channels = 0, classes = 1;  // of x: `classes` groups of channels / classes
  DType dtype = DType::f32;
  std::string str() const;  // "512 of 268569 p1 c4 f32", "64 p784 c91 by class of 91 f32"
};

// The dtype of x is any; indices are i32. Both forward ops allocate their result. Error(usage): shapes,
// types.
Tensor take_rows(const Tensor& x, const Tensor& index);
// dx of shape [n, ..., C] from dy [m, ..., C]; f32, f64 or bf16 (sums are f32 for bf16).
Tensor take_rows_backward(const Tensor& dy, const Tensor& index, int64_t rows);

// `width` is g above; the channels of x are a multiple of it.
Tensor take_class(const Tensor& x, const Tensor& index, int64_t width = 1);
Tensor take_class_backward(const Tensor& dy, const Tensor& index, int64_t channels);

}  // namespace atrous::kernels
