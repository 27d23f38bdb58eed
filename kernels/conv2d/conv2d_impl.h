// The implementations of conv2d. Everything has been checked; outputs are allocated.
#pragma once

#include "kernels/conv2d/conv2d.h"
#include "kernels/gpu/declare.h"

namespace atrous::kernels {

// Writes y and, if defined, fusion.channel_sums.
using Conv2dForwardFn = void(const Conv2dProblem&, const Tensor& x, const Tensor& w, const Conv2dFusion&,
                             const Tensor& y);
// Writes dx; bias may be undefined.
using Conv2dBackwardInputFn = void(const Conv2dProblem&, const Tensor& dy, const Tensor& w,
                                   const Tensor& bias, const Tensor& dx);
// Writes dw (contiguous).
using Conv2dBackwardWeightFn = void(const Conv2dProblem&, const Tensor& dy, const Tensor& x,
                                    const Tensor& dw);

Conv2dForwardFn conv2d_forward_ref;
Conv2dBackwardInputFn conv2d_backward_input_ref;
Conv2dBackwardWeightFn conv2d_backward_weight_ref;

// Register-tiled implementations (conv2d_cpu.cpp) with the inner loops of one instruction set (tiles.h).
Conv2dForwardFn conv2d_forward_avx2, conv2d_forward_avx512;
Conv2dBackwardInputFn conv2d_backward_input_avx2, conv2d_backward_input_avx512;
Conv2dBackwardWeightFn conv2d_backward_weight_avx2, conv2d_backward_weight_avx512;

// Several groups of channels in one vector (conv2d_grouped.cpp).
const char* conv2d_can_group_avx2(const Conv2dProblem& problem);
const char* conv2d_can_group_avx512(const Conv2dProblem& problem);
Conv2dForwardFn conv2d_forward_grouped_avx2, conv2d_forward_grouped_avx512;
Conv2dBackwardInputFn conv2d_backward_input_grouped_avx2, conv2d_backward_input_grouped_avx512;
Conv2dBackwardWeightFn conv2d_backward_weight_grouped_avx2, conv2d_backward_weight_grouped_avx512;

// Winograd F(4x4, 3x3) and F(2x2, 3x3) (conv2d_winograd.cpp, conv2d_winograd_weight.cpp).
const char* conv2d_can_winograd(const Conv2dProblem& problem);
bool conv2d_prefers_winograd_f4(const Conv2dProblem& problem);
bool conv2d_prefers_winograd_f2(const Conv2dProblem& problem);
bool conv2d_prefers_winograd_weight(const Conv2dProblem& problem);
Conv2dForwardFn conv2d_forward_winograd_f4, conv2d_forward_winograd_f2;
Conv2dBackwardInputFn conv2d_backward_input_winograd_f4, conv2d_backward_input_winograd_f2;
Conv2dBackwardWeightFn conv2d_backward_weight_winograd;

// Factors rounded to bf16 (conv2d_bf16.cpp).
extern const Needs needs_amx_bf16, needs_avx512_bf16;
Conv2dForwardFn conv2d_forward_amx_bf16, conv2d_forward_avx512_bf16, conv2d_forward_bf16_rounded;
Conv2dBackwardInputFn conv2d_backward_input_amx_bf16, conv2d_backward_input_avx512_bf16,
    conv2d_backward_input_bf16_rounded;
Conv2dBackwardWeightFn conv2d_backward_weight_amx_bf16, conv2d_backward_weight_avx512_bf16,
    conv2d_backward_weight_bf16_rounded;

// One filter per input channel, at most a bias fused (depthwise_cpu.cpp, depthwise.cu, depthwise_weight.cu).
Conv2dForwardFn conv2d_forward_depthwise;
Conv2dBackwardInputFn conv2d_backward_input_depthwise;
Conv2dBackwardWeightFn conv2d_backward_weight_depthwise;
ATROUS_DECLARE_ON_GPU(Conv2dForwardFn conv2d_forward_depthwise_naive, conv2d_forward_depthwise_vectorised,
                      conv2d_forward_depthwise_window;
                      Conv2dBackwardInputFn conv2d_backward_input_depthwise_naive,
                      conv2d_backward_input_depthwise_vectorised, conv2d_backward_input_depthwise_window;
                      Conv2dBackwardWeightFn conv2d_backward_weight_depthwise_naive,
                      conv2d_backward_weight_depthwise_vectorised, conv2d_backward_weight_depthwise_window;)

// GPU kernels; the ladder is in conv2d_naive.cu.
ATROUS_DECLARE_ON_GPU(Conv2dForwardFn conv2d_forward_naive, conv2d_forward_tiled,
                      conv2d_forward_implicit_gemm, conv2d_forward_implicit_gemm_narrow;
                      Conv2dBackwardInputFn conv2d_backward_input_naive, conv2d_backward_input_tiled,
                      conv2d_backward_input_implicit_gemm, conv2d_backward_input_implicit_gemm_narrow;
                      Conv2dBackwardWeightFn conv2d_backward_weight_naive, conv2d_backward_weight_tiled,
                      conv2d_backward_weight_implicit_gemm;)

// Sums of channels, for the gradient of a bias (channel_sums.cpp, channel_sums.cu).
using ChannelSumsFn = void(const ChannelSumsProblem&, const Tensor& dy, const Tensor& result);
ATROUS_DECLARE_ON_GPU(
    ChannelSumsFn channel_sums_naive, channel_sums_in_stages;
    // `sums` [2,K] from the f64 [tiles, 2*K] that the blocks of a convolution leave, in a fixed order.
    void add_partial_sums(const Tensor& partial, const Tensor& sums);
    // dw from the f32 [splits, numel of dw] that the pieces of a reduction leave, in their order.
    void add_split_sums(const Tensor& partial, const Tensor& dw);)

// Its entry.
const AnyEntry& conv2d_backward_bias_entry();

// Tensor cores (conv2d_mma_*.cu): bf16, or f32 in tf32.
template <DType dtype>
const char* conv2d_can_mma_forward(const Conv2dProblem& problem);
template <DType dtype>
const char* conv2d_can_mma_backward_input(const Conv2dProblem& problem);
template <DType dtype>
const char* conv2d_can_mma_backward_weight(const Conv2dProblem& problem);
ATROUS_DECLARE_ON_GPU(Conv2dForwardFn conv2d_forward_mma; Conv2dBackwardInputFn conv2d_backward_input_mma;
                      Conv2dBackwardWeightFn conv2d_backward_weight_mma;)

}  // namespace atrous::kernels
