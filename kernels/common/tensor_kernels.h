// Element-wise operations of Tensor itself on a GPU: fill, conversion between dtypes, sums of gradients.
//
// dispatch.cpp installs them at start-up, so every program that calls an op has them. One that links no op
// does the same work in host memory (core/device_runtime.h).
#pragma once

#include "core/device_runtime.h"
#include "kernels/gpu/declare.h"

namespace atrous::kernels {

ATROUS_DECLARE_ON_GPU(TensorKernels tensor_kernels();)

}  // namespace atrous::kernels
