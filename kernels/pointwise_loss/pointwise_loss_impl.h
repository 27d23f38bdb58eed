// The implementations of pointwise losses; private to this folder.
#pragma once

#include "kernels/gpu/declare.h"
#include "kernels/pointwise_loss/pointwise_loss.h"

namespace atrous::kernels {

// x has any pixel stride, the targets are dense and of parameter_dtype(x); at least one element.
using PointwiseLossFn = void(const PointwiseLossProblem&, const Tensor& x, const Tensor& targets,
                             const PointwiseLossResult& out);
PointwiseLossFn pointwise_loss_ref, pointwise_loss_chunks;
ATROUS_DECLARE_ON_GPU(PointwiseLossFn pointwise_loss_naive, pointwise_loss_blocks;)

}  // namespace atrous::kernels
