// Implementations of preprocess; preprocess.cpp lists them.
#pragma once

#include "kernels/gpu/declare.h"
#include "kernels/preprocess/preprocess.h"

namespace atrous::kernels::preprocess_impl {

// All dense: images u8, labels u8 or undefined, maps f64 [N, 6], colors f32 [N, 10], statistics f32 [3, C].
using Fn = void(const PreprocessProblem&, const Tensor& images, const Tensor& labels, const Tensor& maps,
                const Tensor& colors, const Tensor& statistics, const Tensor& out, const Tensor& out_labels);
Fn forward_ref, forward_rows;
ATROUS_DECLARE_ON_GPU(Fn forward_naive, forward_vectorised;)

}  // namespace atrous::kernels::preprocess_impl
