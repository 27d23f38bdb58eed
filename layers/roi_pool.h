// Differentiable RoIPool (formula: kernels/roi_pool/roi_pool.h).
#pragma once

#include "core/autograd.h"
#include "kernels/roi_pool/roi_pool.h"

namespace atrous::layers {

using kernels::RoiPoolOptions;

// x: [N,H,W,C]; rois: f32 [R,5], rows (image, x1, y1, x2, y2). Returns [R,out_height,out_width,C]. Indices of
// the maxima are computed and kept only if a gradient will flow.
//
// On Device::meta only the shapes count: rois may hold anything.
Variable roi_pool(const Variable& x, const Tensor& rois, const RoiPoolOptions& options);

}  // namespace atrous::layers
