// Implementations of loss_scale; loss_scale.cpp lists them.
#pragma once

#include "kernels/gpu/declare.h"
#include "kernels/labels/labels.h"
#include "kernels/loss_scale/loss_scale.h"

namespace atrous::kernels::loss_scale_impl {

// `report`: the words of a BadLabel, i64 [bad_label_words], of the first bad label; one that holds one
// already stays as it is. Undefined on the CPU.
using Fn = void(const LossScaleProblem&, const Tensor& labels, const Tensor& class_weights,
                const Tensor& pixel_weights, const Tensor& scale, const Tensor& report);
Fn run_ref, run_blocks;
ATROUS_DECLARE_ON_GPU(Fn run_two_kernels;)

inline constexpr int64_t bad_label_words = sizeof(BadLabel) / sizeof(int64_t);

ATROUS_HD inline double scale_of_sum(bool mean, double sum) {
  return !mean ? 1.0 : sum > 0 ? 1.0 / sum : 0.0;
}

}  // namespace atrous::kernels::loss_scale_impl
