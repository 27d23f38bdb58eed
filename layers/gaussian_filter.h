// Differentiable Gaussian sum over an image (kernels/gaussian_filter/gaussian_filter.h).
#pragma once

#include "core/autograd.h"
#include "kernels/gaussian_filter/gaussian_filter.h"

namespace atrous::layers {

// x [N, H, W, C] -> the same shape. The factors per pixel are constants.
Variable gaussian_filter(const Variable& x, double sigma, const Tensor& before = {},
                         const Tensor& after = {});

}  // namespace atrous::layers
