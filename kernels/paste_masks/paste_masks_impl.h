// Implementations of paste_masks; paste_masks.cpp lists them. All tensors are contiguous.
#pragma once

#include "kernels/gpu/declare.h"
#include "kernels/paste_masks/paste_masks.h"

namespace atrous::kernels::paste_masks_impl {

using Fn = void(const PasteMasksProblem&, const Tensor& masks, const Tensor& boxes, const Tensor& y);
Fn forward_ref, forward_rows;
ATROUS_DECLARE_ON_GPU(Fn forward_naive, forward_vectorised;)

}  // namespace atrous::kernels::paste_masks_impl
