// Averages over rectangles of pixels, shared by average and adaptive pooling.
//
// Both are separable: output (oh, ow) is the mean over the input rows that oh averages and the columns that
// ow averages, divided by the product of two counts (kernels/common/averaging_math.h).
#pragma once

#include "core/tensor.h"
#include "kernels/common/averaging_math.h"
#include "kernels/gpu/declare.h"

namespace atrous::kernels {

// (rows, columns, x or dy, y or dx). x: [N,H,W,C]; y: [N,OH,OW,C].
using AveragingFn = void(const AveragingAxis& rows, const AveragingAxis& cols, const Tensor& from,
                         const Tensor& to);

// f32, vectorised over channels, multi-threaded, bit-identical on any number of threads.
AveragingFn average_forward, average_backward;

// f32 and bf16 (averaging.cu). `shared` is for large rectangles.
ATROUS_DECLARE_ON_GPU(AveragingFn average_forward_naive, average_forward_vectorised, average_forward_shared;
                      AveragingFn average_backward_naive, average_backward_vectorised;)

// nullptr if rectangles are so large that `shared` should be preferred.
const char* needs_large_averages(const AveragingAxis& rows, const AveragingAxis& cols);

}  // namespace atrous::kernels
