// Implementations of roi_pool; roi_pool.cpp lists them. Arguments are checked; rois and argmax are
// contiguous.
#pragma once

#include "kernels/gpu/declare.h"
#include "kernels/roi_pool/roi_pool.h"

namespace atrous::kernels::roi_pool_impl {

// argmax may be undefined.
using ForwardFn = void(const RoiPoolProblem&, const Tensor& x, const Tensor& rois, const Tensor& y,
                       const Tensor& argmax);
using BackwardFn = void(const RoiPoolProblem&, const Tensor& dy, const Tensor& rois, const Tensor& argmax,
                        const Tensor& dx);
ForwardFn forward_ref, forward_bins;
BackwardFn backward_ref, backward_channels;
ATROUS_DECLARE_ON_GPU(ForwardFn forward_naive, forward_vectorised; BackwardFn backward_naive, backward_tiled;)

// Rung "tiled": bins along an axis of a region that fit shared memory.
inline constexpr int64_t most_tiled_bins = 32;

}  // namespace atrous::kernels::roi_pool_impl
