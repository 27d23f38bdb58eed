// The implementations of pointwise ops; private to this folder.
#pragma once

#include "kernels/gpu/declare.h"
#include "kernels/pointwise/pointwise.h"

namespace atrous::kernels {

using UnaryForwardFn = void(const UnaryProblem&, const Tensor& x, const Tensor& y);
using UnaryBackwardFn = void(const UnaryProblem&, const Tensor& kept, const Tensor& dy, const Tensor& dx);
using BinaryForwardFn = void(const BinaryProblem&, const Tensor& x, const Tensor& z, const Tensor& y);
using BinaryBackwardFn = void(const BinaryProblem&, const Tensor& x, const Tensor& z, const Tensor& dy,
                              const Tensor& dx, const Tensor& dz);
using BroadcastVectorFn = void(const BinaryProblem&, const Tensor& x, const Tensor& dy, const Tensor& dz);

struct PointwiseRef {
  static UnaryForwardFn unary_forward;
  static UnaryBackwardFn unary_backward;
  static BinaryForwardFn binary_forward;
  static BinaryBackwardFn binary_backward;
  static BinaryForwardFn broadcast_forward;
  static BroadcastVectorFn broadcast_vector;
};

struct PointwiseCpu {
  static UnaryForwardFn unary_forward;
  static UnaryBackwardFn unary_backward;
  static BinaryForwardFn binary_forward;
  static BinaryBackwardFn binary_backward;
  static BinaryForwardFn broadcast_forward;
  static BroadcastVectorFn broadcast_vector;
};

ATROUS_DECLARE_ON_GPU(UnaryForwardFn unary_forward_scalar, unary_forward_vectorised;
                      UnaryBackwardFn unary_backward_scalar, unary_backward_vectorised;
                      BinaryForwardFn binary_forward_scalar, binary_forward_vectorised;
                      BinaryBackwardFn binary_backward_scalar, binary_backward_vectorised;
                      BinaryForwardFn broadcast_forward_scalar, broadcast_forward_vectorised;
                      BroadcastVectorFn broadcast_vector_naive, broadcast_vector_strips;
                      BinaryForwardFn per_pixel_forward_scalar, per_pixel_forward_vectorised;
                      BroadcastVectorFn per_pixel_sums_naive, per_pixel_sums_lanes;)

// Turns an op into its functor: f(pointwise::relu{}).
template <class F>
void with_functor(Unary op, F&& f) {
#define ATROUS_ROW(name) \
  case Unary::name: return f(pointwise::name{});
  switch (op) { ATROUS_UNARY_OPS(ATROUS_ROW) }
#undef ATROUS_ROW
}

template <class F>
void with_functor(Binary op, F&& f) {
#define ATROUS_ROW(name) \
  case Binary::name: return f(pointwise::name{});
  switch (op) { ATROUS_BINARY_OPS(ATROUS_ROW) }
#undef ATROUS_ROW
}

}  // namespace atrous::kernels
