// From a run-time dtype to a compile-time type.
#pragma once

#include "core/tensor.h"

namespace atrous::kernels {

// Calls f with a value of the element type: f(float{}) or f(double{}).
template <class F>
void visit_float(DType dtype, F&& f) {
  if (dtype == DType::f32) return f(float{});
  if (dtype == DType::f64) return f(double{});
  fail(ErrorKind::internal, "[kernels] this implementation computes in f32 or f64. Got {}.", name_of(dtype));
}

}  // namespace atrous::kernels
