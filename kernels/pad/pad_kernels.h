// Implementations of pad; pad.cpp lists them.
#pragma once

#include "kernels/pad/pad.h"

namespace atrous::kernels::pad_impl {

using Fn = void(const PadProblem&, const Tensor& from, const Tensor& to);
Fn forward_ref, backward_ref, forward_rows, backward_rows;

}  // namespace atrous::kernels::pad_impl
