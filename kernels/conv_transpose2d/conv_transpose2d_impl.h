// The implementations behind conv_transpose2d.h. Everything has been checked; outputs are allocated.
#pragma once

#include "kernels/conv_transpose2d/conv_transpose2d.h"
#include "kernels/gpu/declare.h"

namespace atrous::kernels {

using ConvTranspose2dForwardFn = void(const ConvTranspose2dProblem&, const Tensor& x, const Tensor& w,
                                      const Tensor& bias, const Tensor& y);
using ConvTranspose2dBackwardInputFn = void(const ConvTranspose2dProblem&, const Tensor& dy, const Tensor& w,
                                            const Tensor& dx);
using ConvTranspose2dBackwardWeightFn = void(const ConvTranspose2dProblem&, const Tensor& dy, const Tensor& x,
                                             const Tensor& dw);

// Plain loops.
ConvTranspose2dForwardFn conv_transpose2d_forward_ref;
ConvTranspose2dBackwardInputFn conv_transpose2d_backward_input_ref;
ConvTranspose2dBackwardWeightFn conv_transpose2d_backward_weight_ref;

// One dense product per pass; kernel == stride, no padding, no groups.
ATROUS_DECLARE_ON_GPU(ConvTranspose2dForwardFn conv_transpose2d_forward_patches;
                      ConvTranspose2dBackwardInputFn conv_transpose2d_backward_input_patches;
                      ConvTranspose2dBackwardWeightFn conv_transpose2d_backward_weight_patches;)

}  // namespace atrous::kernels
