// Checks of the arguments of ops. Everything throws Error(usage).
#pragma once

#include "core/error.h"
#include "core/tensor.h"

namespace atrous::kernels {

// `t` has exactly this shape and dtype. `problem` has a one-line descriptor, str().
template <class Problem>
void check_tensor(const char* where, const char* name, const Tensor& t, const Shape& shape, DType dtype,
                  const Problem& problem) {
  ATROUS_CHECK(t.defined() && t.shape() == shape && t.dtype() == dtype, ErrorKind::usage,
               "[{}] {} must be {} {}. Got {} with problem {}. Pass a tensor of that shape and type.", where,
               name, name_of(dtype), shape.str(), t.describe(), problem.str());
}

// `out` and `input`, which is read while `out` is written, have no element in common. Slices of one
// ConcatBuffer interleave without touching.
void check_disjoint(const char* where, const Tensor& out, const Tensor& input);

}  // namespace atrous::kernels
