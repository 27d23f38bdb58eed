// Implementations of roi_align; roi_align.cpp lists them. Arguments are checked; rois and levels are
// contiguous, levels may be undefined.
#pragma once

#include "kernels/gpu/declare.h"
#include "kernels/roi_align/roi_align.h"

namespace atrous::kernels::roi_align_impl {

using ForwardFn = void(const RoiAlignProblem&, const std::vector<Tensor>& maps, const Tensor& rois,
                       const Tensor& levels, const Tensor& y);
// Overwrites dx, the gradient of map number `level`.
using BackwardFn = void(const RoiAlignProblem&, const Tensor& dy, const Tensor& rois, const Tensor& levels,
                        const int64_t& level, const Tensor& dx);
ForwardFn forward_ref, forward_taps;
BackwardFn backward_ref, backward_stripes;
ATROUS_DECLARE_ON_GPU(ForwardFn forward_naive, forward_vectorised, forward_tabulated;
                      BackwardFn backward_naive, backward_tiled;)

// Kernels get the maps by value.
inline constexpr int most_maps = 8;
// Rung "tabulated": samples along an axis of a region that fit shared memory; channels that 32 bits can index
// for a whole region.
inline constexpr int64_t most_tabulated = 128, most_tabulated_channels = 1 << 16;
// Rung "tiled": bins along an axis of a region whose weights do.
inline constexpr int64_t most_tiled_bins = 32;

}  // namespace atrous::kernels::roi_align_impl
