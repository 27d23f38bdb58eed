// What the implementations of gemm are told. Everything has been checked; y is allocated.
#pragma once

#include "kernels/gemm/gemm.h"

namespace atrous::kernels {

using GemmFn = void(const GemmProblem&, const Tensor& a, const Tensor& b, const Tensor& bias,
                    const Tensor& y);

GemmFn gemm_ref;

}  // namespace atrous::kernels
