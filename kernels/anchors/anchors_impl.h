// The implementations of anchors; private to this folder.
#pragma once

#include "kernels/anchors/anchors.h"
#include "kernels/gpu/declare.h"

namespace atrous::kernels {

// At least one cell anchor and one cell.
using AnchorFn = void(const AnchorProblem&, const Tensor& anchors);
AnchorFn anchors_ref, anchors_rows;
ATROUS_DECLARE_ON_GPU(AnchorFn anchors_naive;)

}  // namespace atrous::kernels
