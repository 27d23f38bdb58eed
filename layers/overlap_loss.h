// Differentiable soft Dice and soft IoU losses.
#pragma once

#include "core/autograd.h"
#include "kernels/overlap_loss/overlap_loss.h"

namespace atrous::layers {

using kernels::OverlapLossOptions;
using kernels::OverlapMeasure;

// Scalar loss of probabilities [N,H,W,K] (a softmax) against labels [N,H,W]:
// kernels/overlap_loss/overlap_loss.h.
Variable overlap_loss(const Variable& probabilities, const Tensor& labels,
                      const OverlapLossOptions& options = {});

}  // namespace atrous::layers
