// The implementations of box_iou; private to this folder.
#pragma once

#include "kernels/box_iou/box_iou.h"
#include "kernels/gpu/declare.h"

namespace atrous::kernels {

// All tensors dense, A and B at least 1.
using BoxIouFn = void(const BoxIouProblem&, const Tensor& a, const Tensor& b, const Tensor& iou);
BoxIouFn box_iou_ref, box_iou_runs;
ATROUS_DECLARE_ON_GPU(BoxIouFn box_iou_naive, box_iou_staged;)

}  // namespace atrous::kernels
