// The implementations behind max_pool2d.h; arguments are checked already.
#pragma once

#include "kernels/gpu/declare.h"
#include "kernels/max_pool2d/max_pool2d.h"

namespace atrous::kernels {

// (x, y, indices or undefined)
using MaxPool2dForwardFn = void(const Pool2dProblem&, const Tensor&, const Tensor&, const Tensor&);
// (dy, indices, dx)
using MaxPool2dBackwardFn = void(const Pool2dProblem&, const Tensor&, const Tensor&, const Tensor&);
// (x, indices, y) or (dy, indices, dx)
using MaxUnpool2dFn = void(const MaxUnpool2dProblem&, const Tensor&, const Tensor&, const Tensor&);

MaxPool2dForwardFn max_pool2d_forward_ref, max_pool2d_forward_rows;
MaxPool2dBackwardFn max_pool2d_backward_ref, max_pool2d_backward_gather;
MaxUnpool2dFn max_unpool2d_forward_ref, max_unpool2d_forward_blocks;
MaxUnpool2dFn max_unpool2d_backward_ref, max_unpool2d_backward_rows;

ATROUS_DECLARE_ON_GPU(MaxPool2dForwardFn max_pool2d_forward_naive, max_pool2d_forward_vectorised,
                      max_pool2d_forward_unrolled;
                      MaxPool2dBackwardFn max_pool2d_backward_naive, max_pool2d_backward_vectorised,
                      max_pool2d_backward_disjoint;
                      MaxUnpool2dFn max_unpool2d_forward_naive, max_unpool2d_forward_vectorised;
                      MaxUnpool2dFn max_unpool2d_backward_naive, max_unpool2d_backward_vectorised;)

}  // namespace atrous::kernels
