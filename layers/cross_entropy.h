// Differentiable softmax cross-entropy.
#pragma once

#include "core/autograd.h"
#include "kernels/cross_entropy/cross_entropy.h"

namespace atrous::layers {

using kernels::CrossEntropyOptions;
using kernels::LossReduction;

// Scalar loss of logits [N,H,W,K] against labels [N,H,W] (i32 or u8): kernels/cross_entropy/cross_entropy.h.
// The gradient is computed by the forward pass if backward will need it.
Variable cross_entropy(const Variable& logits, const Tensor& labels, const CrossEntropyOptions& options = {});

}  // namespace atrous::layers
