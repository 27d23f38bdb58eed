// Concatenation along channels, and its inverse.
//
//   y[p, o_i + c] = x_i[p, c],   o_i = C_0 + ... + C_{i-1}
//
// for all pixels p (the outer axes together, equal in all parts). These kernels copy. A network that knows
// its concatenation beforehand lets the producers write into a ConcatBuffer (core/tensor.h) and copies
// nothing.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "core/tensor.h"

namespace atrous::kernels {

struct ConcatProblem {
  int64_t pixels = 0;
  std::vector<int64_t> channels;  // of each part
  DType dtype = DType::f32;

  int64_t total_channels() const;
  std::string str() const;  // "p4096 c16+32 f32"
};

// Shape of the result. Errors: no parts, or shapes that differ in more than the last axis (usage).
Shape concat_shape(std::span<const Shape> parts);

// y of shape concat_shape(parts), contiguous, or `out` if given (same shape, any pixel stride). Any dtype,
// equal in all parts.
Tensor concat_forward(const std::vector<Tensor>& parts, const Tensor& out = {});

// The parts of dy with these channel counts, as contiguous copies.
std::vector<Tensor> concat_backward(const Tensor& dy, const std::vector<int64_t>& channels);

}  // namespace atrous::kernels
