// Implementations of pad; pad.cpp lists them.
#pragma once

#include "kernels/gpu/declare.h"
#include "kernels/pad/pad.h"

namespace atrous::kernels::pad_impl {

using Fn = void(const PadProblem&, const Tensor& from, const Tensor& to);
Fn forward_ref, backward_ref, forward_rows, backward_rows;
ATROUS_DECLARE_ON_GPU(Fn forward_naive, backward_naive, forward_vectorised, backward_vectorised;)

}  // namespace atrous::kernels::pad_impl
