// Differentiable RoIAlign (formula: kernels/roi_align/roi_align.h).
#pragma once

#include "core/autograd.h"
#include "kernels/roi_align/roi_align.h"

namespace atrous::layers {

using kernels::RoiAlignOptions;

// maps: each [N,H_l,W_l,C]; rois: f32 [R,5], rows (image, x1, y1, x2, y2); levels: i32 [R], undefined if
// there is one map. Returns [R,out_height,out_width,C]. Gradients flow to the maps that need them.
//
// On Device::meta only the shapes count: rois and levels may hold anything.
Variable roi_align(const std::vector<Variable>& maps, const Tensor& rois, const Tensor& levels,
                   const RoiAlignOptions& options);

}  // namespace atrous::layers
