// Implementations of mask_targets; mask_targets.cpp lists them. All tensors are contiguous.
#pragma once

#include "kernels/gpu/declare.h"
#include "kernels/mask_targets/mask_targets.h"

namespace atrous::kernels::mask_targets_impl {

using Fn = void(const MaskTargetsProblem&, const Tensor& masks, const Tensor& rois, const Tensor& y);
Fn forward_ref, forward_separable;
ATROUS_DECLARE_ON_GPU(Fn forward_naive, forward_per_warp;)

}  // namespace atrous::kernels::mask_targets_impl
