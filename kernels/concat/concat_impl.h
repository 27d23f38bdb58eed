// Implementations of concat; concat.cpp lists them.
#pragma once

#include "kernels/concat/concat.h"
#include "kernels/gpu/declare.h"

namespace atrous::kernels::concat {

using ForwardFn = void(const ConcatProblem&, const std::vector<Tensor>& parts, const Tensor& y);
using BackwardFn = void(const ConcatProblem&, const Tensor& dy, const std::vector<Tensor>& parts);
ForwardFn forward_ref;
BackwardFn backward_ref;

inline constexpr int max_parts = 16;  // of `fused`: they are passed as arguments of the kernel
ATROUS_DECLARE_ON_GPU(ForwardFn forward_naive, forward_fused; BackwardFn backward_naive, backward_fused;)

}  // namespace atrous::kernels::concat
