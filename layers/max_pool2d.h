// Differentiable max pooling and unpooling (formulas: kernels/max_pool2d/max_pool2d.h).
#pragma once

#include "core/autograd.h"
#include "kernels/max_pool2d/max_pool2d.h"

namespace atrous::layers {

using kernels::Pool2dOptions;

// x: [N,H,W,C]. Indices are computed and kept only if a gradient will flow.
Variable max_pool2d(const Variable& x, const Pool2dOptions& options);

struct PooledWithIndices {
  Variable values;
  Tensor indices;  // i32, h*W + w of each maximum
};
PooledWithIndices max_pool2d_with_indices(const Variable& x, const Pool2dOptions& options);

// Writes every x to the position where max_pool2d found it; the rest of [N, height, width, C] is zero.
Variable max_unpool2d(const Variable& x, const Tensor& indices, int64_t height, int64_t width);

}  // namespace atrous::layers
