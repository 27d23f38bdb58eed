// Differentiable average pooling (formula: kernels/avg_pool2d/avg_pool2d.h).
#pragma once

#include "core/autograd.h"
#include "kernels/avg_pool2d/avg_pool2d.h"

namespace atrous::layers {

using kernels::AvgPool2dOptions;

// x: [N,H,W,C]; the result is written into `out` if given.
Variable avg_pool2d(const Variable& x, const AvgPool2dOptions& options, const Tensor& out = {});

}  // namespace atrous::layers
